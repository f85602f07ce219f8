//! The model: weights, forward pass, keys and values. The only room that names candle.
