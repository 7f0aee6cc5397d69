"""How dates are written in each language; Django finds it by FORMAT_MODULE_PATH. Every time shows its zone."""
