"""Text encoders as their users run them in torch."""

from __future__ import annotations

from torch import Tensor, nn


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
