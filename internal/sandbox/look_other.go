//go:build !linux

package sandbox

// Look finds nothing: the agent's home is Linux.
func Look() Offer { return Offer{Why: "this is not Linux"} }
