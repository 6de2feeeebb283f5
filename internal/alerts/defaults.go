package alerts

// Builtin are the rules that ship with the agent, in the order of the documentation. The caller may change them.
func Builtin() []Rule { return nil }
