package egress_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// FuzzNameServer: whatever a name server answers with, the check ends within its time with a cause of the table.
func FuzzNameServer(f *testing.F) {
	f.Add([]byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1})
	f.Add([]byte{0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1})
	f.Add([]byte{0x83, 0x80, 0, 0, 0xff, 0xff, 0, 0, 0, 0})
	server, err := net.ListenPacket("udp", "127.0.0.1:0") //nolint:noctx // lives as long as the test
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = server.Close() })
	says := make(chan []byte, 1)
	go func() {
		last, question := []byte(nil), make([]byte, 4096)
		for {
			n, from, err := server.ReadFrom(question)
			if err != nil {
				return
			}
			select {
			case last = <-says:
			default:
			}
			if n >= 2 {
				_, _ = server.WriteTo(append(append([]byte(nil), question[:2]...), last...), from)
			}
		}
	}()
	f.Fuzz(func(t *testing.T, answer []byte) {
		if len(answer) > 4000 {
			return
		}
		select {
		case <-says:
		default:
		}
		says <- answer
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		result := runWithin(ctx, t, fmt.Sprintf("hosts: [{host: api.test, resolver: %q, families: [A]}]", server.LocalAddr()), network(t, outbound.Options{}))
		if _, known := result.Cause.Info(); !known && result.Status != checks.OK {
			t.Errorf("%s with cause %q", result.Status, result.Cause)
		}
	})
}
