package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// archive packs the stage for systems without dpkg and rpm: what is installed, and install.sh.
func (r *release) archive(stage, top, target string) error {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	err = filepath.WalkDir(stage, func(file string, entry fs.DirEntry, err error) error { // in the order of names
		if err != nil {
			return err
		}
		name, err := filepath.Rel(stage, file)
		if err != nil {
			return err
		}
		if !archived(name) {
			return nil
		}
		return r.enter(w, file, path.Join(top, filepath.ToSlash(name)), entry)
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return write(target, packed.Bytes(), 0o644, r.date)
}

// archived leaves out what is for dpkg and rpm only.
func archived(name string) bool {
	for _, no := range []string{"nfpm.yaml", "scripts", "lintian-overrides", "copyright", "changelog.gz"} {
		if name == no || strings.HasPrefix(name, no+"/") {
			return false
		}
	}
	return true
}

// enter adds one file or folder: of root, at the time of the release.
func (r *release) enter(w *tar.Writer, file, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: r.date, Uname: "root", Gname: "root", Format: tar.FormatUSTAR}
	if entry.IsDir() {
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
		return w.WriteHeader(header)
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	from, err := os.Open(file) //nolint:gosec // the stage
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // read only
	_, err = io.Copy(w, from)
	return err
}
