// Package guest is what runs inside a machine that systemd/e2e has booted: each test installs the packages in /e2e, works
// on them as an administrator does, and looks at what systemd, the journal, the disk and the backend say of it. It changes
// the system that it runs on and must never be run on another.
package guest
