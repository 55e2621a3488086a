mod figures;
mod locks; // against a model that looks at everything
