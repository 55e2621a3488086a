mod basics;
mod runner;
