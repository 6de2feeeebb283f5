package outboundtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/windsock-monitor/windsock/internal/outbound"
)

// Canned is an exchanger without a network: every request gets the same answer. It is for fuzzing what reads answers.
type Canned struct {
	Status int
	Header http.Header
	Body   []byte
}

// Open implements outbound.Exchanger.
func (c Canned) Open(context.Context, outbound.Request) (*outbound.Response, error) {
	return &outbound.Response{
		Status: c.Status, Header: c.Header, Proto: "HTTP/1.1", Body: cannedBody{bytes.NewReader(c.Body)},
	}, nil
}

type cannedBody struct{ io.Reader }

func (cannedBody) Close() error { return nil }

func (cannedBody) Timings() outbound.Timings {
	return outbound.Timings{Start: time.Now(), Connect: time.Millisecond, FirstByte: time.Millisecond, Total: time.Second, RemoteAddr: "127.0.0.1:1"}
}
