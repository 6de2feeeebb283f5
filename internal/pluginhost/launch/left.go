package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// removeLeft removes what a plugin left of its own folder. A plugin that has closed one of its folders to itself, and so to us,
// keeps nothing by it: what it left would stay for good, and grow with each restart.
func removeLeft(folder string) error {
	err := os.RemoveAll(folder)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(folder)) // the folder itself may be closed
	if err != nil {
		return fmt.Errorf("opening what is left of a plugin: %w", err)
	}
	defer func() { _ = root.Close() }()
	return errors.Join(unlock(root, filepath.Base(folder)), os.RemoveAll(folder))
}

// unlock opens a folder and all in it. The plugin is gone: nobody puts a link where a folder was.
func unlock(root *os.Root, folder string) error {
	return fs.WalkDir(root.FS(), folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil //nolint:nilerr // RemoveAll says what is left
		}
		if err := root.Chmod(path, 0o700); err != nil {
			return fmt.Errorf("opening a folder that a plugin closed: %w", err)
		}
		return nil
	})
}
