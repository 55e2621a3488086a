mod args;
mod element;
mod parse;
mod reply;
