// Package lab boots Debian releases with a real systemd as PID 1 in a container of their own and runs one command inside:
// a base tree of the release, made once, lies under an overlay in memory, in a mount namespace, a PID namespace and a
// network of their own, so that nothing is left behind, however the test ends. It knows nothing of what it runs, and it
// never says that a machine booted that did not.
package lab
