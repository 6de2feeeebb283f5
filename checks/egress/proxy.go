package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"github.com/windsock-monitor/windsock/checks"
)

// tunnel connects to the host through the proxy.
func (w *walk) tunnel(ctx context.Context, via *url.URL) *problem {
	start := time.Now()
	conn, p := w.connectVia(ctx, via, w.host.address())
	took := w.phase(checks.PhaseConnect, start)
	if p != nil {
		return w.stop("proxy", p)
	}
	w.conn = conn
	w.went("proxy", "CONNECT through %s in %s", proxyAddress(via), took.Round(time.Microsecond))
	return nil
}

// connectVia asks the proxy for a connection to target. Whatever goes wrong up to there is the proxy's.
func (e *Egress) connectVia(ctx context.Context, via *url.URL, target string) (net.Conn, *problem) {
	address := proxyAddress(via)
	if strings.HasPrefix(via.Scheme, "socks5") {
		return e.connectSOCKS(ctx, via, target)
	}
	conn, err := e.net.DialContext(ctx, "tcp", address)
	if err != nil {
		p := ofConnect(ctx, err)
		if p.status == checks.Failed {
			p.cause, p.text = checks.CauseProxy, "proxy "+address+": "+p.text
		}
		return nil, p
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if via.Scheme == "https" {
		conn, err = e.secureProxy(ctx, conn, via)
	}
	var status int
	if err == nil {
		status, err = connectRequest(conn, via, target)
	}
	if err != nil {
		_ = conn.Close()
		return nil, ofProxy(ctx, err, address)
	}
	if status != http.StatusOK {
		_ = conn.Close()
		return nil, failed(checks.CauseProxy, fmt.Sprintf("proxy %s answered %d to CONNECT", address, status))
	}
	return conn, nil
}

// connectSOCKS leaves the target's name to the proxy, as CONNECT does.
func (e *Egress) connectSOCKS(ctx context.Context, via *url.URL, target string) (net.Conn, *problem) {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	address := proxyAddress(via)
	socks, err := proxy.SOCKS5("tcp", address, auth, dialer{e.net})
	if err != nil {
		return nil, unknown(checks.CauseConfig, "the proxy's address cannot be read")
	}
	dial, ok := socks.(proxy.ContextDialer)
	if !ok {
		return nil, unknown(checks.CauseInternal, "the proxy cannot be dialled with a deadline")
	}
	conn, err := dial.DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, ofProxy(ctx, err, address)
	}
	return conn, nil
}

// dialer is the agent's way out in the form that the SOCKS client wants.
type dialer struct{ Network }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (e *Egress) secureProxy(ctx context.Context, conn net.Conn, via *url.URL) (net.Conn, error) {
	secure := tls.Client(conn, e.tlsConfig(via.Hostname()))
	if err := secure.HandshakeContext(ctx); err != nil {
		return conn, fmt.Errorf("securing the way to the proxy: %w", err)
	}
	return secure, nil
}

// connectRequest sends CONNECT and reads the header of the answer, byte by byte, so that nothing of what follows it is lost.
func connectRequest(conn net.Conn, via *url.URL, target string) (int, error) {
	request := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\nUser-Agent: windsock (synthetic)\r\n"
	if user := via.User; user != nil {
		password, _ := user.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return 0, fmt.Errorf("sending CONNECT: %w", err)
	}
	req := &http.Request{Method: http.MethodConnect}
	answer, err := http.ReadResponse(bufio.NewReaderSize(io.LimitReader(oneByte{conn}, maxHeader), 1), req)
	if err != nil {
		return 0, fmt.Errorf("reading the proxy's answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		_ = conn.Close() // first: closing a body would read it to its end
	}
	_ = answer.Body.Close()
	return answer.StatusCode, nil
}

// oneByte never reads ahead.
type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

func ofProxy(ctx context.Context, err error, address string) *problem {
	if p := ours(ctx, err); p != nil {
		return p
	}
	if timedOut(ctx, err) {
		return failed(checks.CauseProxy, "proxy "+address+" gave no answer in time")
	}
	return failed(checks.CauseProxy, "proxy "+address+" did not connect")
}

// proxyAddress leaves user and password out.
func proxyAddress(via *url.URL) string {
	port := via.Port()
	switch {
	case port != "":
	case via.Scheme == "https":
		port = "443"
	case strings.HasPrefix(via.Scheme, "socks5"):
		port = "1080"
	default:
		port = "80"
	}
	return net.JoinHostPort(via.Hostname(), port)
}
