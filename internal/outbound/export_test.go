package outbound

// RefusesHost lets the tests reach the guard of hosts that a proxy resolves.
func RefusesHost(host string) bool { return guard{}.refusesHost(host) }
