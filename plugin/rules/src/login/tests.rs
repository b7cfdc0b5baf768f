mod claims;
mod decide;
mod open;
