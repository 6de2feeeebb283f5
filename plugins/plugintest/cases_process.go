package plugintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/plugins/wire"
)

func handshakes(ctx context.Context, a *attempt) error {
	if a.suite.notStarted != nil {
		return a.suite.notStarted
	}
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	if !p.inDir() {
		return fmt.Errorf("its socket is %q, want one in the folder of PLUGIN_UNIX_SOCKET_DIR", clip(p.line.address))
	}
	if err := reachable(ctx, p.conn); err != nil {
		return err
	}
	a.note("the handshake took %s", p.took.Round(time.Millisecond))
	if lines := bytes.Count(p.stdout.bytes(), []byte("\n")); lines > 1 {
		return fmt.Errorf("it printed %d lines on standard output, want the handshake alone", lines)
	}
	return a.withoutCookie(ctx)
}

// withoutCookie starts it as a person does who does not know what it is.
func (a *attempt) withoutCookie(ctx context.Context) error {
	p, err := a.spawn(ctx, startOptions{noCookie: true, noCert: true})
	if err != nil {
		return err
	}
	first, _ := p.stdout.first()
	if _, err := readHandshake(first); err == nil {
		return fmt.Errorf("without the cookie %s it made a handshake, want a sentence and an exit code", wire.CookieKey)
	}
	if !p.ended(startLimit) {
		return fmt.Errorf("without the cookie %s it did not end within %s, want a sentence and an exit code", wire.CookieKey, startLimit)
	}
	p.settle()
	if p.code == 0 {
		return fmt.Errorf("without the cookie %s its exit code is 0, want another", wire.CookieKey)
	}
	if p.stderr.size()+p.stdout.size() == 0 {
		return fmt.Errorf("without the cookie %s it ended without a word, want a sentence", wire.CookieKey)
	}
	return nil
}

func certificates(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	if p.line.cert == nil {
		return errors.New("it has no certificate in its handshake, so that any program of the same user can call it; want AutoMTLS")
	}
	if err := reachable(ctx, p.conn); err != nil {
		return err
	}
	stranger, err := newIdentity()
	if err != nil {
		return err
	}
	conn, err := dialWith(insecure.NewCredentials(), p.line.address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if reachable(ctx, conn) == nil {
		return errors.New("it answers without TLS, want only who has the agent's certificate")
	}
	for who, known := range map[string]*identity{"without a certificate": nil, "with a certificate that is not the agent's": stranger} {
		conn, err := dial(known, p.line)
		if err != nil {
			return err
		}
		err = reachable(ctx, conn)
		_ = conn.Close()
		if err == nil {
			return fmt.Errorf("it answers %s, want only who has the agent's", who)
		}
	}
	return nil
}

func healthy(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	for range 2 {
		if err := serving(ctx, p.conn, 2*time.Second); err != nil {
			return err
		}
	}
	return nil
}

func shutsDown(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	if err := reachable(ctx, p.conn); err != nil {
		return err
	}
	began := time.Now()
	err = shutdown(ctx, p.conn)
	if status.Code(err) == codes.Unimplemented {
		return errors.New("it has no plugin.GRPCController: every stop would take a SIGKILL")
	}
	if !p.ended(stopLimit - time.Since(began)) {
		return fmt.Errorf("it had not ended %s after plugin.GRPCController/Shutdown", stopLimit)
	}
	if p.code != 0 {
		return fmt.Errorf("after the shutdown it ended with %s%s, want 0", p.ending(), p.lastWords())
	}
	if _, err := os.Lstat(p.line.address); err == nil {
		return errors.New("its socket is still there after the shutdown, want it removed")
	}
	return nil
}

func terminates(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	if err := reachable(ctx, p.conn); err != nil {
		return err
	}
	if err := terminate(p.pid); err != nil {
		return fmt.Errorf("sending SIGTERM: %w", err)
	}
	if !p.ended(stopLimit) {
		return fmt.Errorf("it had not ended %s after SIGTERM", stopLimit)
	}
	return nil
}

// diesWithHost has a shell in the stead of the agent, which is killed.
func diesWithHost(ctx context.Context, a *attempt) error {
	const limit = 5 * time.Second
	const host = `"$0" 3>&- & echo $! >&3; exec 3>&-; wait`
	p, err := a.spawn(ctx, startOptions{host: []string{"/bin/sh", "-c", host}})
	if err != nil {
		return err
	}
	defer kill(p.pid)
	if err := a.suite.connect(ctx, p); err != nil {
		return err
	}
	if err := reachable(ctx, p.conn); err != nil {
		return err
	}
	kill(p.cmd.Process.Pid)
	_ = p.conn.Close()
	if !p.ended(limit) {
		return errors.New("the mock agent did not end")
	}
	p.closePipes()
	for deadline := time.Now().Add(limit); there(p.pid); {
		if time.Now().After(deadline) {
			return fmt.Errorf("it still ran %s after the agent was killed, want it to notice that its parent changed", limit)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
