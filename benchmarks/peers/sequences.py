"""Models of text as their users run them in torch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Bert(nn.Module):
    """The encoder of transformers with its pooler, inside a whole model's key names."""

    def __init__(
        self,
        depth: int = 12,
        width: int = 768,
        heads: int = 12,
        hidden: int = 3072,
        vocabulary: int = 30522,
        context: int = 512,
    ) -> None:
        super().__init__()
        # Only this peer needs transformers, which takes seconds to import.
        from transformers import BertConfig, BertModel

        self.bert = BertModel(
            BertConfig(
                vocab_size=vocabulary,
                hidden_size=width,
                num_hidden_layers=depth,
                num_attention_heads=heads,
                intermediate_size=hidden,
                max_position_embeddings=context,
            )
        )

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """``int64[N, T]`` to the hidden states ``[N, T, width]`` and the pooled ones ``[N, width]``."""
        result = self.bert(ids)
        return result.last_hidden_state, result.pooler_output


class Gpt2Layer(nn.Module):
    """Masked attention and a small network, each before its norm and beside what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = nn.Module(), nn.Module()
        self.attn.c_attn, self.attn.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp.c_fc, self.mlp.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, T, width]`` to the same."""
        packed = self.attn.c_attn(self.ln_1(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attn.c_proj(mixed.transpose(1, 2).flatten(2))
        hidden = functional.gelu(self.mlp.c_fc(self.ln_2(x)), approximate="tanh")
        y: Tensor = x + self.mlp.c_proj(hidden)
        return y


class Gpt2(nn.Module):
    """The decoder without a cache; the embedding of words is its last layer, too."""

    def __init__(
        self, depth: int = 12, width: int = 768, heads: int = 12, vocabulary: int = 50257, context: int = 1024
    ) -> None:
        super().__init__()
        self.transformer = nn.Module()
        self.transformer.wte, self.transformer.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.transformer.h = nn.ModuleList(Gpt2Layer(width, heads) for _ in range(depth))
        self.transformer.ln_f = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        """``int64[N, T]`` to logits ``[N, T, vocabulary]``."""
        net = self.transformer
        x = net.wte(ids) + net.wpe.weight[: ids.shape[1]]
        for layer in net.h:
            x = layer(x)
        return functional.linear(net.ln_f(x), net.wte.weight)
