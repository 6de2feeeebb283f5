// Package interop runs the official TypeScript client against the simulator. Its test needs Node and npm, and so the build
// tag interop: `make test-interop`.
package interop
