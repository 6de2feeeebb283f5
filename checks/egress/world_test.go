package egress_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// authority is a certificate authority made for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(3650 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

// issue makes a certificate for names that ends after left.
func (a authority) issue(t *testing.T, left time.Duration, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(left),
	}
	for _, name := range names {
		if addr, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a authority) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func network(t *testing.T, o outbound.Options) *outbound.Network {
	t.Helper()
	n, err := outbound.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// listen serves each connection on a loopback port with serve, until the test ends.
func listen(t *testing.T, serve func(net.Conn)) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = l.Close(); wg.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

// silent reads and never answers.
func silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// secure makes the TLS handshake and goes on with next.
func secure(cert tls.Certificate, next func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		if server.HandshakeContext(context.Background()) == nil {
			next(server)
		}
	}
}

// answering speaks just enough HTTP.
func answering(status int, seen func(*http.Request)) func(net.Conn) {
	return func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		if seen != nil {
			seen(req)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 "+strconv.Itoa(status)+" x\r\nContent-Length: 1000000\r\n\r\nendless")
		silent(conn)
	}
}

// refusedPort is a port on which nobody listens, kept until the test ends.
func refusedPort(t *testing.T) int {
	t.Helper()
	return int(netip.MustParseAddrPort(outboundtest.Refused(t)).Port())
}

// nameserver answers over UDP and TCP on one loopback port.
func nameserver(t *testing.T, handle dns.HandlerFunc) string {
	t.Helper()
	packet, stream := twoListeners(t)
	for _, server := range []*dns.Server{{PacketConn: packet, Handler: handle}, {Listener: stream, Handler: handle}} {
		var started sync.WaitGroup
		started.Add(1)
		server.NotifyStartedFunc = started.Done
		done := make(chan error, 1)
		go func() { done <- server.ActivateAndServe() }()
		started.Wait()
		t.Cleanup(func() {
			if err := server.Shutdown(); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	return packet.LocalAddr().String()
}

// twoListeners are UDP and TCP on the same port. What is free for one may be taken for the other.
func twoListeners(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		packet, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		stream, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", packet.LocalAddr().String())
		if err == nil {
			return packet, stream
		}
		_ = packet.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// zone answers with records by name and type; a name without records does not exist.
func zone(t *testing.T, records map[string][]string) dns.HandlerFunc {
	t.Helper()
	return func(w dns.ResponseWriter, query *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetReply(query)
		lines, known := records[query.Question[0].Name]
		if !known {
			answer.Rcode = dns.RcodeNameError
		}
		for _, line := range lines {
			record, err := dns.NewRR(query.Question[0].Name + " 60 IN " + line)
			if err != nil {
				t.Error(err)
				return
			}
			if record.Header().Rrtype == query.Question[0].Qtype || record.Header().Rrtype == dns.TypeCNAME {
				answer.Answer = append(answer.Answer, record)
			}
		}
		_ = w.WriteMsg(answer)
	}
}

// connectProxy tunnels every CONNECT to one loopback port, whatever the name, and tells what it was asked.
func connectProxy(t *testing.T, status, to int, seen func(*http.Request)) int {
	t.Helper()
	return listen(t, func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		seen(req)
		if status != http.StatusOK {
			_, _ = io.WriteString(conn, "HTTP/1.1 "+strconv.Itoa(status)+" no\r\nContent-Length: 2\r\n\r\nno")
			return
		}
		target, err := new(net.Dialer).DialContext(context.Background(), "tcp4", "127.0.0.1:"+strconv.Itoa(to))
		if err != nil {
			return
		}
		defer func() { _ = target.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(target, conn); _ = target.Close() })
		_, _ = io.Copy(conn, target)
		_ = conn.Close()
		wg.Wait()
	})
}
