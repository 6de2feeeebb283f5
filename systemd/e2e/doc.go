// Package e2e has the packages of this tree installed on Debian releases whose PID 1 is a real systemd: README.md says how.
// There is nothing here but tests, with the build tag e2e, and they pass nowhere where a release cannot be booted.
package e2e
