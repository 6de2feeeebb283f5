package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// floorEnd is what the floor says at its end.
type floorEnd struct {
	Sent, Failed int64
	Lateness     spread
}

// runFloor sends the request that the target captured, on a fresh connection, with net/http alone: as often as so many
// checks would, evenly spread, each in a goroutine, under the same deadline. It does nothing else. That is the least that a
// Go program can do to make these requests.
func runFloor(ctx context.Context, o order, out io.Writer) error {
	source := child{hello: o.Target}
	var request captured
	if err := source.ask(ctx, "/captured", &request); err != nil {
		return err
	}
	f, err := newFloor(&request, o)
	if err != nil {
		return err
	}
	if err := say(out, hello{}); err != nil {
		return err
	}
	f.run(ctx)
	return json.NewEncoder(out).Encode(floorEnd{Sent: f.sent, Failed: f.failed, Lateness: spreadOf(f.late)})
}

type floor struct {
	client  *http.Client
	request *captured
	url     string
	gap     time.Duration
	timeout time.Duration

	mu     sync.Mutex // guards what follows
	sent   int64
	failed int64
	late   []time.Duration
}

func newFloor(request *captured, o order) (*floor, error) {
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	if o.Target.CAFile != "" {
		pem, err := os.ReadFile(o.Target.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate: %w", err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &floor{
		client: &http.Client{Transport: transport}, request: request, url: o.Target.Address + request.Path,
		gap: o.Every / time.Duration(o.Checks), timeout: o.Timeout,
	}, nil
}

func (f *floor) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := time.Now(); ; due = due.Add(f.gap) {
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		running.Go(func() { f.once(context.WithoutCancel(ctx), due) })
	}
}

func (f *floor) once(ctx context.Context, due time.Time) {
	late := time.Since(due)
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	err := f.exchange(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent++
	if err != nil {
		f.failed++
	}
	f.late = append(f.late, late)
}

func (f *floor) exchange(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, f.request.Method, f.url, bytes.NewReader(f.request.Body))
	if err != nil {
		return err
	}
	req.Header = f.request.Header.Clone()
	resp, err := f.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return err
}
