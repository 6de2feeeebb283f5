//go:build !windsock_manual

package main

import "github.com/spf13/cobra"

// documented adds nothing: only a binary that is built for it writes manual pages.
func documented(*cobra.Command) {}
