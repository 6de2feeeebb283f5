package outbound

import "context"

// RefusesHost lets the tests reach the guard of hosts that a proxy resolves.
func RefusesHost(host string) bool { return guard{}.refusesHost(host) }

// ExplainTLS is the Failure of a handshake that ended with err.
func ExplainTLS(err error) *Failure {
	return explain(context.Background(), err, place{stage: stageTLS, host: "api.example"})
}
