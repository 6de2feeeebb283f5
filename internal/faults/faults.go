// Package faults holds the faults that the agent must live through, each a test of the real process: the table of them is
// docs/faults.md. What needs privileges (network namespaces, small file systems, other users) has the build tag faults
// and is run by `make test-faults`. There is nothing here but tests.
package faults
