package outbound_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// peer is the server's side of an HTTP/2 connection on which a request has arrived.
type peer struct {
	*http2.Framer
	conn   net.Conn
	stream uint32
	done   <-chan struct{}
}

// head begins an answer with status 200.
func (p *peer) head() {
	var block bytes.Buffer
	_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: p.stream, BlockFragment: block.Bytes(), EndHeaders: true})
}

// linger keeps the connection until the client ends it: a close with data unread would be a reset.
func (p *peer) linger() { _, _ = io.Copy(io.Discard, p.conn) }

// speakH2 is a server that does answer for each request, and counts them.
func speakH2(t *testing.T, ca *outboundtest.CA, answer func(*peer)) (address string, requests *atomic.Int64) {
	t.Helper()
	config := ca.Config(t, outboundtest.Valid(), "127.0.0.1")
	config.NextProtos = []string{"h2"}
	requests = &atomic.Int64{}
	return outboundtest.Raw(t, func(raw net.Conn, done <-chan struct{}) {
		go func() { // a client may keep its connection longer than the test
			<-done
			_ = raw.Close()
		}()
		conn := tls.Server(raw, config)
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		framer := http2.NewFramer(conn, conn)
		_ = framer.WriteSettings()
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if ping, ok := frame.(*http2.PingFrame); ok && !ping.IsAck() {
				_ = framer.WritePing(true, ping.Data)
				continue
			}
			if frame.Header().StreamID != 0 && frame.Header().Flags.Has(http2.FlagDataEndStream) { // of header or data
				requests.Add(1)
				answer(&peer{framer, conn, frame.Header().StreamID, done})
			}
		}
	}), requests
}

// TestARequestIsNeverRepeated: net/http itself repeats what an HTTP/2 server says it did not look at.
func TestARequestIsNeverRepeated(t *testing.T) {
	t.Parallel()
	ca := outboundtest.NewCA(t)
	for name, answer := range map[string]func(*peer){
		"a refused stream": func(p *peer) { _ = p.WriteRSTStream(p.stream, http2.ErrCodeRefusedStream) },
		"go away":          func(p *peer) { _ = p.WriteGoAway(0, http2.ErrCodeNo, nil); p.linger() },
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				address, requests := speakH2(t, ca, answer)
				n := network(t, outbound.Options{CAFile: ca.File})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				request := outbound.Request{Method: method, URL: "https://" + address + "/"}
				if method == http.MethodPost {
					request.Body = []byte(`{}`)
				}
				_, _, err := fetch(ctx, n, request)
				if failure, ok := errors.AsType[*outbound.Failure](err); !ok || failure.Cause != checks.CauseConnect || failure.Deadline || failure.Stage != "headers" && failure.Stage != "send" {
					t.Errorf("got %+v, want connect at send or headers: %v", failure, err)
				}
				if got := requests.Load(); got != 1 {
					t.Errorf("%d requests were made, want one", got)
				}
			})
		}
	}
	t.Run("on a kept connection a few times at most", func(t *testing.T) {
		t.Parallel()
		address, requests := speakH2(t, ca, func(p *peer) { _ = p.WriteRSTStream(p.stream, http2.ErrCodeRefusedStream) })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, _, err := fetch(ctx, network(t, outbound.Options{CAFile: ca.File}), outbound.Request{URL: "https://" + address + "/", Reuse: true})
		if failure, ok := errors.AsType[*outbound.Failure](err); !ok || failure.Cause != checks.CauseConnect || failure.Deadline {
			t.Errorf("got %+v, want connect: %v", failure, err)
		}
		if got := requests.Load(); got > 3 { // the third is on its way when it is ended
			t.Errorf("%d requests were made, want at most 3", got)
		}
	})
	t.Run("nor by the exporters' client without end", func(t *testing.T) {
		t.Parallel()
		address, requests := speakH2(t, ca, func(p *peer) { _ = p.WriteGoAway(0, http2.ErrCodeNo, nil); p.linger() })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+"/", strings.NewReader("a body that can be sent again"))
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := network(t, outbound.Options{CAFile: ca.File}).Client().Do(req); err == nil {
			_ = answer.Body.Close()
			t.Error("there was an answer")
		}
		if got := requests.Load(); got != 1 {
			t.Errorf("%d requests were made, want one", got)
		}
	})
}

func TestFaultsOfHTTP2(t *testing.T) {
	t.Parallel()
	ca := outboundtest.NewCA(t)
	refuse := func(code http2.ErrCode) func(*peer) {
		return func(p *peer) { _ = p.WriteRSTStream(p.stream, code) }
	}
	tests := map[string]struct {
		answer        func(*peer)
		cause         checks.Cause
		stage, reason string
		deadline      bool
	}{
		"silence":            {func(*peer) {}, checks.CauseTimeout, "headers", "headers", true},
		"a cancelled stream": {refuse(http2.ErrCodeCancel), checks.CauseConnect, "headers", "reset", false},
		"enhance your calm":  {refuse(http2.ErrCodeEnhanceYourCalm), checks.CauseConnect, "headers", "reset", false},
		"go away before an answer": {func(p *peer) {
			_ = p.WriteGoAway(0, http2.ErrCodeNo, nil)
			p.linger()
		}, checks.CauseConnect, "headers", "closed", false},
		"go away for a fault": {func(p *peer) {
			_ = p.WriteGoAway(p.stream, http2.ErrCodeInternal, []byte("hunter2"))
			_ = p.conn.Close()
		}, checks.CauseConnect, "headers", "closed", false},
		"a hang-up":            {func(p *peer) { _ = p.conn.Close() }, checks.CauseConnect, "headers", "closed", false},
		"a header and silence": {func(p *peer) { p.head() }, checks.CauseTimeout, "body", "body", true},
		"a reset in the body": {func(p *peer) {
			p.head()
			_ = p.WriteData(p.stream, false, []byte("{"))
			_ = p.WriteRSTStream(p.stream, http2.ErrCodeInternal)
		}, checks.CauseConnect, "body", "reset", false},
		"a hang-up in the body": {func(p *peer) {
			p.head()
			_ = p.WriteData(p.stream, false, []byte("{"))
			_ = p.conn.Close()
		}, checks.CauseMalformed, "body", "truncated", false},
		"go away in the body": {func(p *peer) {
			p.head()
			_ = p.WriteData(p.stream, false, []byte("{"))
			_ = p.WriteGoAway(p.stream, http2.ErrCodeInternal, nil)
			_ = p.conn.Close()
		}, checks.CauseConnect, "body", "closed", false},
		"frames that are none": {func(p *peer) { _, _ = io.WriteString(p.conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, checks.CauseMalformed, "headers", "protocol", false},
	}
	for name, tt := range tests {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				address, requests := speakH2(t, ca, tt.answer)
				request := outbound.Request{Method: method, URL: "https://" + address + "/?key=hunter2"}
				if method == http.MethodPost {
					request.Body = []byte(`{}`)
				}
				err := failing(t, network(t, outbound.Options{CAFile: ca.File}), request, tt.stage, tt.deadline)
				stage := tt.stage
				if failure, ok := errors.AsType[*outbound.Failure](err); ok && failure.Stage == "send" && stage == "headers" {
					stage = "send" // the answer was here before the client knew that all was sent
				}
				wantFailure(t, err, tt.cause, stage, tt.reason, tt.deadline)
				if got := requests.Load(); got != 1 && !tt.deadline {
					t.Errorf("%d requests were made, want one", got)
				}
			})
		}
	}
}
