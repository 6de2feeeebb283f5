//go:build !linux

package usagelog

import "os"

const openFlags, ownFlag = 0, 0

// identity is not known: files are told apart by their first bytes alone.
func identity(os.FileInfo) (dev, ino uint64) { return 0, 0 }
