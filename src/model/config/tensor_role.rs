//! The tensors of a decoder by role. Architectures name them ([`Architecture`](super::architecture::Architecture)), networks take them
//! ([`Weights`](crate::model::weights::Weights)).

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorRole {
    /// `[vocab, hidden]`.
    Embedding,
    /// Norm before attention, `[hidden]`.
    InputNorm,
    /// `[heads * head_dim, hidden]`.
    Query,
    /// `[kv_heads * head_dim, hidden]`.
    Key,
    /// `[kv_heads * head_dim, hidden]`.
    Value,
    /// Projection of attention, `[hidden, heads * head_dim]`.
    Output,
    /// Norm before the MLP, `[hidden]`.
    PostNorm,
    /// `[intermediate, hidden]`.
    Gate,
    /// `[intermediate, hidden]`.
    Up,
    /// `[hidden, intermediate]`.
    Down,
    /// Norm before the head, `[hidden]`.
    FinalNorm,
    /// `[vocab, hidden]`.
    Head,
}

/// One tensor of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorId {
    pub role: TensorRole,
    /// 0 for tensors outside of layers.
    pub layer: usize,
    pub is_bias: bool,
}

impl TensorRole {
    /// The weight of this role in a layer.
    pub fn of_layer(self, layer: usize) -> TensorId {
        TensorId { role: self, layer, is_bias: false }
    }
}

/// Weights outside of layers.
impl From<TensorRole> for TensorId {
    fn from(role: TensorRole) -> Self {
        role.of_layer(0)
    }
}

impl TensorId {
    /// The bias that goes with this weight.
    pub fn bias(self) -> Self {
        Self { is_bias: true, ..self }
    }
}
