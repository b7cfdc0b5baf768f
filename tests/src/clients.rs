//! Mail clients that nobody here wrote, each brought to the one shape of a reply.
//!
//! Owns their command lines. Must never put a token into an argument: other users of a machine can read those.
