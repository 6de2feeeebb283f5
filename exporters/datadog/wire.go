package datadog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/windsock-monitor/windsock/exporters"
)

// network is the agent's way out.
type network interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// wire is the connection to DogStatsD, as datadog-go's writer. It dials at the first packet of an attempt that needs it,
// and after the first packet of an attempt that failed it sends no other: the batch comes again as a whole.
type wire struct {
	addr address
	via  network // nil is the system's

	mu   sync.Mutex               // guards all below
	dial func() (net.Conn, error) // of this attempt; nil where there is none
	till time.Time                // of this attempt
	err  error                    // the first of this attempt
	tap  func(packet []byte)      // gets the packets instead
	sent int                      // packets of this attempt
	conn net.Conn                 // also guarded by held
	held sync.Mutex               // guards conn against abort, which cannot wait for a Write
}

// listen gives the packets to tap instead of the socket; nil ends that.
func (w *wire) listen(tap func(packet []byte)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tap = tap
}

// begin opens an attempt. ctx bounds it.
func (w *wire) begin(ctx context.Context, timeout time.Duration) (stop func()) {
	till := time.Now().Add(timeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(till) {
		till = deadline
	}
	w.mu.Lock()
	w.till, w.err, w.sent = till, ctx.Err(), 0
	w.dial = func() (net.Conn, error) {
		ctx, cancel := context.WithDeadline(ctx, till)
		defer cancel()
		return w.connect(ctx)
	}
	w.mu.Unlock()
	cancel := context.AfterFunc(ctx, w.abort)
	return func() { cancel() }
}

// abort ends a Write that hangs.
func (w *wire) abort() {
	w.held.Lock()
	defer w.held.Unlock()
	if w.conn != nil {
		_ = w.conn.SetWriteDeadline(time.Unix(1, 0))
	}
}

// end closes an attempt and returns its first error.
func (w *wire) end() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && w.conn != nil && w.addr.udp() && w.sent > 0 {
		if err := pendingError(w.conn); err != nil {
			w.fail(err)
		}
	}
	w.dial = nil
	return w.err
}

// Write sends a packet.
func (w *wire) Write(packet []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tap != nil {
		w.tap(packet)
		return len(packet), nil
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.conn == nil {
		if w.dial == nil {
			return 0, errors.New("a packet outside of an attempt")
		}
		conn, err := w.dial()
		if err != nil {
			w.err = err
			return 0, err
		}
		w.hold(conn)
	}
	if err := w.put(packet); err != nil {
		w.fail(err)
		return 0, err
	}
	w.sent++
	return len(packet), nil
}

func (w *wire) put(packet []byte) error {
	if err := w.conn.SetWriteDeadline(w.till); err != nil {
		return err
	}
	if w.conn.RemoteAddr().Network() == "unix" { // a stream: each packet after its length
		framed := make([]byte, 4, 4+len(packet))
		binary.LittleEndian.PutUint32(framed, uint32(len(packet)))
		packet = append(framed, packet...)
	}
	_, err := w.conn.Write(packet)
	return err
}

// fail keeps the first error and gives the connection up: the next attempt makes a new one.
func (w *wire) fail(err error) {
	w.err = err
	if w.conn != nil {
		_ = w.conn.Close()
		w.hold(nil)
	}
}

func (w *wire) hold(conn net.Conn) {
	w.held.Lock()
	defer w.held.Unlock()
	w.conn = conn
}

// Close closes the connection.
func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return nil
	}
	err := w.conn.Close()
	w.hold(nil)
	return err
}

func (w *wire) connect(ctx context.Context) (net.Conn, error) {
	if w.addr.udp() && w.via != nil {
		return w.via.DialContext(ctx, "udp", w.addr.target)
	}
	var d net.Dialer
	if w.addr.network != "" {
		return d.DialContext(ctx, w.addr.network, w.addr.target)
	}
	conn, err := d.DialContext(ctx, "unixgram", w.addr.target)
	if errors.Is(err, syscall.EPROTOTYPE) {
		return d.DialContext(ctx, "unix", w.addr.target)
	}
	return conn, err
}

// judge turns an error of the socket into the contract's words.
func (w *wire) judge(err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	if errors.Is(err, syscall.ENOENT) {
		hint = "; hint: dogstatsd_socket of the Agent names the socket, and `address: 127.0.0.1:8125` is UDP"
	}
	err = fmt.Errorf("sending to %s: %w%s", w.addr, err, hint)
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		return exporters.Hold(err)
	}
	return exporters.Retry(err, 0)
}
