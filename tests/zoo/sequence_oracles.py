"""Translation networks written plainly in torch, from their papers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Sutskever(nn.Module):
    """Sutskever, Vinyals, Le (2014): the encoder's last states start the decoder. The source comes reversed."""

    def __init__(self, source_words: int, target_words: int, width: int, layers: int) -> None:
        super().__init__()
        self.es = nn.Embedding(source_words, width)
        self.et = nn.Embedding(target_words, width)
        self.enc = nn.LSTM(width, width, layers, bias=False, batch_first=True)
        self.dec = nn.LSTM(width, width, layers, bias=False, batch_first=True)
        self.out = nn.Linear(width, target_words, bias=False)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        _, states = self.enc(self.es(source))
        return self.out(self.dec(self.et(target), states)[0])

    def generate(self, source: Tensor, start: int, stop: int, longest: int) -> list[list[int]]:
        """The greedy translation of each sentence by itself."""
        found = []
        for sentence in source:
            _, states = self.enc(self.es(sentence[None]))
            words = [start]
            while len(words) <= longest:
                y, states = self.dec(self.et(torch.tensor([[words[-1]]])), states)
                words.append(int(self.out(y[0, -1]).argmax()))
                if words[-1] == stop:
                    break
            found.append([word for word in words[1:] if word != stop])
        return found


class Luong(Sutskever):
    """Luong, Pham, Manning (2015), equations 5 to 8, global attention without input feeding."""

    def __init__(self, source_words: int, target_words: int, width: int, layers: int, score: str) -> None:
        super().__init__(source_words, target_words, width, layers)
        self.score = score
        del self.out
        self.Wc = nn.Linear(2 * width, width, bias=False)
        self.Ws = nn.Linear(width, target_words, bias=False)
        if score != "dot":
            self.Wa = nn.Linear(width, width, bias=False)
        if score == "concat":
            self.Ua = nn.Linear(width, width, bias=False)
            self.va = nn.Parameter(torch.empty(width))

    def words(self, h: Tensor, memory: Tensor) -> Tensor:
        """Scores of words for the states of one sentence, h [T, D], memory [S, D]."""
        rows = []
        for state in h:
            if self.score == "concat":
                energy = torch.stack([self.va @ torch.tanh(self.Wa(state) + self.Ua(each)) for each in memory])
            else:
                turned = [each if self.score == "dot" else self.Wa(each) for each in memory]
                energy = torch.stack([state @ each for each in turned])
            context = energy.softmax(0) @ memory
            rows.append(self.Ws(torch.tanh(self.Wc(torch.cat([context, state])))))
        return torch.stack(rows)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, states = self.enc(self.es(source))
        h, _ = self.dec(self.et(target), states)
        return torch.stack([self.words(*each) for each in zip(h, memory, strict=True)])

    def generate(self, source: Tensor, start: int, stop: int, longest: int) -> list[list[int]]:
        found = []
        for sentence in source:
            memory, states = self.enc(self.es(sentence[None]))
            words = [start]
            while len(words) <= longest and (len(words) == 1 or words[-1] != stop):
                h, states = self.dec(self.et(torch.tensor([[words[-1]]])), states)
                words.append(int(self.words(h[0], memory[0])[0].argmax()))
            found.append([word for word in words[1:] if word != stop])
        return found


class RnnSearch(nn.Module):
    """Bahdanau, Cho, Bengio (2015), appendix A, without biases. Names of parameters as in the paper."""

    def __init__(
        self, source_words: int, target_words: int, embedding: int, hidden: int, align: int, maxout: int
    ) -> None:
        super().__init__()
        self.hidden = hidden

        def matrix(name: str, rows: int, columns: int) -> nn.Parameter:
            self.register_parameter(name, parameter := nn.Parameter(torch.empty(rows, columns)))
            return parameter

        self.Ex = nn.Embedding(source_words, embedding)
        self.Ey = nn.Embedding(target_words, embedding)
        for prefix in "fbd":
            for gate in ("z", "r", ""):
                matrix(f"{prefix}W{gate}", hidden, embedding)
                matrix(f"{prefix}U{gate}", hidden, hidden)
                if prefix == "d":
                    matrix(f"dC{gate}", hidden, 2 * hidden)
        self.Wa = matrix("Wa", align, hidden)
        self.Ua = matrix("Ua", align, 2 * hidden)
        self.va = nn.Parameter(torch.empty(align))
        self.Ws = matrix("Ws", hidden, hidden)
        self.Uo = matrix("Uo", 2 * maxout, hidden)
        self.Vo = matrix("Vo", 2 * maxout, embedding)
        self.Co = matrix("Co", 2 * maxout, 2 * hidden)
        self.Wo = matrix("Wo", target_words, maxout)

    def unit(self, prefix: str, x: Tensor, h: Tensor, context: Tensor | None = None) -> Tensor:
        """The gated unit; z is the share of the new."""

        def mix(gate: str, h: Tensor) -> Tensor:
            total = x @ getattr(self, f"{prefix}W{gate}").T + h @ getattr(self, f"{prefix}U{gate}").T
            return total if context is None else total + context @ getattr(self, f"{prefix}C{gate}").T

        z, r = torch.sigmoid(mix("z", h)), torch.sigmoid(mix("r", h))
        return (1 - z) * h + z * torch.tanh(mix("", r * h))

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Annotations of the words, and the decoder's first state."""
        x = self.Ex(source)
        start = x.new_zeros(len(x), self.hidden)
        ahead: list[Tensor] = []
        back: list[Tensor] = []
        h = start
        for at in range(x.shape[1]):
            h = self.unit("f", x[:, at], h)
            ahead.append(h)
        h = start
        for at in reversed(range(x.shape[1])):
            h = self.unit("b", x[:, at], h)
            back.insert(0, h)
        memory = torch.cat([torch.stack(ahead, 1), torch.stack(back, 1)], -1)
        return memory, torch.tanh(back[0] @ self.Ws.T)

    def step(self, x: Tensor, h: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the next word and the next state; the score of attention uses the state before."""
        energy = torch.tanh((h @ self.Wa.T)[:, None] + memory @ self.Ua.T) @ self.va
        context = (energy.softmax(-1)[..., None] * memory).sum(1)
        t = h @ self.Uo.T + x @ self.Vo.T + context @ self.Co.T
        return t.unflatten(1, (-1, 2)).amax(2) @ self.Wo.T, self.unit("d", x, h, context)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, h = self.encode(source)
        scores = []
        for at in range(target.shape[1]):
            logits, h = self.step(self.Ey(target[:, at]), h, memory)
            scores.append(logits)
        return torch.stack(scores, 1)

    def generate(self, source: Tensor, start: int, stop: int, longest: int) -> list[list[int]]:
        """The greedy translation of each sentence by itself."""
        found = []
        for sentence in source:
            memory, h = self.encode(sentence[None])
            words = [start]
            while len(words) <= longest:
                logits, h = self.step(self.Ey(torch.tensor([words[-1]])), h, memory)
                words.append(int(logits.argmax()))
                if words[-1] == stop:
                    break
            found.append([word for word in words[1:] if word != stop])
        return found
