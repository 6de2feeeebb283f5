package outbound_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

func squeeze(t *testing.T, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	block := make([]byte, min(size, 1<<20))
	for left := size; left > 0; left -= len(block) {
		if _, err := w.Write(block[:min(len(block), left)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBodiesAreBoundedAfterDecompression(t *testing.T) {
	t.Parallel()
	bomb := squeeze(t, 64<<20)
	hollow := bytes.Repeat(squeeze(t, 0), 40_000) // members without content: nothing comes out, for ever
	serve := func(encoding string, body func(w io.Writer)) *httptest.Server {
		server := quiet(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if encoding != "" {
				w.Header().Set("Content-Encoding", encoding)
			}
			body(w)
		}))
		server.Start()
		t.Cleanup(server.Close)
		return server
	}
	gigabyte := func(w io.Writer) {
		block := make([]byte, 1<<16)
		for range 1 << 14 {
			_, err := w.Write(block)
			if err != nil {
				return
			}
		}
	}
	tests := map[string]struct {
		server *httptest.Server
		limit  int64
	}{
		"a gigabyte":         {serve("", gigabyte), 0},
		"a gzip bomb":        {serve("gzip", func(w io.Writer) { _, _ = w.Write(bomb) }), 1 << 20},
		"gzip without yield": {serve("gzip", func(w io.Writer) { _, _ = w.Write(hollow) }), 1 << 10},
		"one byte too many":  {serve("", func(w io.Writer) { _, _ = io.WriteString(w, "12345678901") }), 10},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, body, err := fetch(ctx, network(t, outbound.Options{}), outbound.Request{URL: tt.server.URL, MaxBody: tt.limit})
			wantFailure(t, err, checks.CauseResponseTooLarge, "body", "body", false)
			if limit := max(tt.limit, 0); limit > 0 && int64(len(body)) > limit {
				t.Errorf("got %d bytes, want at most %d", len(body), limit)
			}
		})
	}
	t.Run("a body of just the bound, compressed", func(t *testing.T) {
		t.Parallel()
		server := serve("gzip", func(w io.Writer) { _, _ = w.Write(squeeze(t, 5000)) })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		answer, body, err := fetch(ctx, network(t, outbound.Options{}), outbound.Request{URL: server.URL, MaxBody: 5000})
		if err != nil || len(body) != 5000 || answer.Header.Get("Content-Encoding") != "" {
			t.Errorf("got %d bytes, %v, %v", len(body), answer, err)
		}
	})
}
