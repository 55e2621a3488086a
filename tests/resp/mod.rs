mod args;
mod element;
mod head;
mod parse;
mod reply;
mod second_word;
