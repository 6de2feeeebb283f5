package otel_test

import (
	"net"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/otel"
)

func refused() map[string]string {
	return map[string]string{
		"an unknown protocol":      "protocol: http/json\n",
		"an unknown compression":   "compression: zstd\n",
		"unknown events":           "events: some\n",
		"a scheme":                 "endpoint: ftp://127.0.0.1\n",
		"no host":                  "endpoint: \"http://\"\n",
		"a password in the URL":    "endpoint: \"http://user:pass@127.0.0.1:4318\"\n",
		"a query":                  "endpoint: \"http://127.0.0.1:4318?key=x\"\n",
		"a header name":            "headers: {\"a b\": x}\n",
		"a header of our own":      "headers: {Content-Type: x}\n",
		"a header twice":           "headers: {x-a: y}\nsecret_headers: {X-A: {env: B}}\n",
		"half a client":            "tls: {cert_file: a.pem}\n",
		"plaintext over https":     "endpoint: \"https://127.0.0.1:4318\"\ntls: {insecure: true}\n",
		"a negative timeout":       "timeout: -1s\n",
		"a negative bound":         "max_series: -1\n",
		"a line break in a header": "headers: {x-a: \"b\\nc\"}\n",
	}
}

func TestTheSuiteOverHTTP(t *testing.T) {
	hermetic(t)
	exportertest.Run(t, exportertest.Options{
		Kind: otel.Kind(),
		Key:  key,
		Page: "../../docs/exporters/otel.md",
		Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
			t.Helper()
			url := backendURL(t, fault)
			return exportertest.Case{With: "endpoint: " + url + "\nevents: all\ntraces: true\nsecret_headers: {authorization: {env: KEY}}\n"}, true
		},
		Refused: refused(),
	})
}

func TestTheSuiteOverGRPC(t *testing.T) {
	hermetic(t)
	exportertest.Run(t, exportertest.Options{
		Kind: otel.Kind(),
		Key:  key,
		Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
			t.Helper()
			url, ok := grpcFault(t, fault)
			return exportertest.Case{With: "endpoint: " + url + "\nprotocol: grpc\nevents: all\ntraces: true\nsecret_headers: {authorization: {env: KEY}}\n"}, ok
		},
		Refused: refused(),
	})
}

func backendURL(t *testing.T, fault exportertest.Fault) string {
	t.Helper()
	if fault == exportertest.Hangs {
		return "http://" + mute(t)
	}
	return exportertest.HTTPBackend(t, fault, &backend{})
}

// grpcFault is a backend whose service answers with the status that gRPC has for a fault.
func grpcFault(t *testing.T, fault exportertest.Fault) (url string, ok bool) {
	t.Helper()
	say := func(code codes.Code, text string) (string, bool) {
		b, url := startGRPC(t)
		b.fail["metrics"] = status.Error(code, text)
		return url, true
	}
	switch fault {
	case exportertest.Works:
		_, url := startGRPC(t)
		return url, true
	case exportertest.Unauthorized:
		return say(codes.Unauthenticated, "no key like "+key)
	case exportertest.Forbidden:
		return say(codes.PermissionDenied, "not yours")
	case exportertest.NotFound:
		return say(codes.Unimplemented, "unknown service")
	case exportertest.TooLarge:
		return say(codes.ResourceExhausted, "grpc: received message larger than max (5000 vs. 4000)")
	case exportertest.Refuses:
		return say(codes.InvalidArgument, "bad point")
	case exportertest.TooMany:
		b, url := startGRPC(t)
		busy, err := status.New(codes.ResourceExhausted, "slow down").WithDetails(&errdetails.RetryInfo{
			RetryDelay: durationpb.New(exportertest.RetryAfter * 1e9),
		})
		if err != nil {
			t.Fatal(err)
		}
		b.fail["metrics"] = busy.Err()
		return url, true
	case exportertest.Broken:
		return say(codes.Internal, "boom")
	case exportertest.Unavailable:
		return say(codes.Unavailable, "later")
	case exportertest.Hangs:
		return "http://" + mute(t), true
	case exportertest.Absent:
		return exportertest.HTTPBackend(t, fault, nil), true
	case exportertest.Redirects: // gRPC has none
	}
	return "", false
}

// mute accepts connections and never says a word.
func mute(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var held []net.Conn
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			held = append(held, c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		for _, c := range held {
			_ = c.Close()
		}
	})
	return l.Addr().String()
}
