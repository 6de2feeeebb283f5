// Package inspect starts a plugin once to ask it what it is, or to try it, and ends it. It gives it no secret but those of
// a trial, reads no configuration, and keeps nothing.
package inspect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/internal/executable"
	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// describeWithin is how long a plugin may take to say what it is.
const describeWithin = time.Second

// grace is how long it may take to end.
const grace = 3 * time.Second

// Options is what to start, and how.
type Options struct {
	Path   string         // absolute
	Name   string         // for logs and errors; "" is the file's
	Trust  bool           // run it though others could change it: it is being written, by the user who asks
	Env    []string       // NAME=value, before PATH and LANG: the first of a name counts
	Policy sandbox.Policy // the zero value, with Network none, is right for Describe
	Plain  bool           // without AutoMTLS
	Log    *slog.Logger
	Scrub  func(string) string
}

// Plugin is one that runs.
type Plugin struct {
	*launch.Process
	Manifest manifest.Manifest
	SHA256   string // of the file that runs

	sockets string
}

// Start starts the plugin and asks what it is. Close ends it.
func Start(ctx context.Context, o Options) (*Plugin, error) {
	if o.Name == "" {
		o.Name = filepath.Base(o.Path)
	}
	sum, err := Digest(o)
	if err != nil {
		return nil, err
	}
	sockets, err := launch.TempSockets()
	if err != nil {
		return nil, err
	}
	p := &Plugin{SHA256: sum, sockets: sockets}
	p.Process, err = launch.Start(ctx, launch.Program{
		Name: o.Name, Path: o.Path, Open: func() (*os.File, error) { return open(o) }, SHA256: sum,
		Env: append(slices.Clone(o.Env), "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"), Policy: o.Policy, Sockets: sockets,
		MTLS: !o.Plain, Log: o.Log, Scrub: o.Scrub,
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(sockets))
	}
	if p.Manifest, err = Describe(ctx, p.Process, o.Name); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close ends the plugin.
func (p *Plugin) Close() error {
	p.Stop(grace)
	return os.RemoveAll(p.sockets)
}

// Describe asks a plugin that runs what it is. name is what errors call it.
func Describe(ctx context.Context, process *launch.Process, name string) (manifest.Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, describeWithin)
	defer cancel()
	answer, err := pluginv1.NewBasePluginClient(process.Conn()).Describe(ctx, &pluginv1.DescribeRequest{
		Capabilities: &pluginv1.HostCapabilities{Memory: true, Refresh: true},
	})
	if err != nil {
		return manifest.Manifest{}, fmt.Errorf("plugin %q does not say what it is: %w", name, err)
	}
	m, err := manifest.FromWire(answer)
	if err != nil {
		return m, fmt.Errorf("plugin %q describes itself wrongly: %w", name, err)
	}
	return m, nil
}

// Digest is the SHA-256 of the plugin's file, which is judged as for a start.
func Digest(o Options) (string, error) {
	f, err := open(o)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("reading %q: %w", o.Path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// open opens the file to be read and run.
func open(o Options) (*os.File, error) {
	if o.Trust {
		f, err := os.Open(o.Path)
		if err != nil {
			return nil, fmt.Errorf("opening the plugin: %w", err)
		}
		return f, nil
	}
	f, err := executable.Read(o.Path)
	if err != nil {
		return nil, fmt.Errorf("plugin %q cannot be run: %w", o.Name, err)
	}
	return f, nil
}
