//! What a statement does, as far as its text tells.
