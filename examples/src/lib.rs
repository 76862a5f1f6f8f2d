//! Parts that the example programs share.
