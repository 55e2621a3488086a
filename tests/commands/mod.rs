mod client; // filters, CLIENT's argument errors
mod command; // COMMAND's replies against recorded ones
mod keys; // which words are keys
mod say; // how requests are run here
mod session; // HELLO, AUTH, SELECT, CONFIG, SHUTDOWN, DEBUG: replies recorded from a real server
mod table; // lookup, unknown commands, arity
