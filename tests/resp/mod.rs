mod element;
mod parse;
mod reply;
