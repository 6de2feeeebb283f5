package exportertest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/windsock-monitor/windsock/exporters"
)

// Fault is a way in which a backend behaves.
type Fault string

// The faults. What an exporter must make of each stands in Faults.
const (
	Works        Fault = "works"        // takes everything
	Unauthorized Fault = "unauthorized" // 401: Hold
	Forbidden    Fault = "forbidden"    // 403: Hold
	NotFound     Fault = "not found"    // 404: Hold
	TooLarge     Fault = "too large"    // 413: Split, Poison or a Rejection for a single record
	Refuses      Fault = "refuses"      // 400: Poison, or a Rejection
	TooMany      Fault = "too many"     // 429: Retry after RetryAfter
	Broken       Fault = "broken"       // 500: Retry
	Unavailable  Fault = "unavailable"  // 503: Retry
	Redirects    Fault = "redirects"    // 307 to another address: Hold, nothing is sent there
	Hangs        Fault = "hangs"        // accepts the connection and never answers: Retry, at the deadline
	Absent       Fault = "absent"       // nobody listens: Retry
)

// RetryAfter is what the backends of HTTPBackend wish for, in seconds, when they are too busy.
const RetryAfter = 7

// Faults is every fault and the class of error that it has.
func Faults() map[Fault]Class {
	return map[Fault]Class{
		Works: Accepted, Unauthorized: Hold, Forbidden: Hold, NotFound: Hold, TooLarge: Split, Refuses: Poison,
		TooMany: Retry, Broken: Retry, Unavailable: Retry, Redirects: Hold, Hangs: Retry, Absent: Retry,
	}
}

// Class is what delivery does next.
type Class string

// The classes.
const (
	Accepted Class = "accepted"
	Retry    Class = "retry"
	Hold     Class = "hold"
	Split    Class = "split"
	Poison   Class = "poison"
)

// ClassOf is the class of what Export returned.
func ClassOf(err error) Class {
	switch {
	case err == nil:
		return Accepted
	case exporters.IsHold(err):
		return Hold
	case exporters.IsSplit(err):
		return Split
	case exporters.IsPoison(err):
		return Poison
	}
	return Retry
}

// HTTPBackend starts a backend that behaves in a way, on a loopback listener, and returns its URL. works answers where the
// fault is Works; nil is 200 with nothing in it. A redirect to the backend of another test fails the test.
func HTTPBackend(t *testing.T, fault Fault, works http.Handler) string {
	t.Helper()
	if fault == Absent {
		return "http://127.0.0.1:1" // below the ports that the system hands out: nobody gets it meanwhile
	}
	elsewhere := ""
	if fault == Redirects {
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("the exporter followed a redirect")
		}))
		t.Cleanup(other.Close)
		elsewhere = other.URL
	}
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault == Hangs {
			<-ended
			return
		}
		answer(w, r, fault, elsewhere, works)
	}))
	t.Cleanup(func() {
		close(ended)
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func answer(w http.ResponseWriter, r *http.Request, fault Fault, elsewhere string, works http.Handler) {
	statuses := map[Fault]int{
		Unauthorized: 401, Forbidden: 403, NotFound: 404, TooLarge: 413, Refuses: 400, TooMany: 429, Broken: 500,
		Unavailable: 503, Redirects: 307,
	}
	switch fault {
	case Works:
		if works != nil {
			works.ServeHTTP(w, r)
		}
		return
	case TooMany:
		w.Header().Set("Retry-After", "7")
	case Redirects:
		w.Header().Set("Location", elsewhere)
	case Unauthorized, Forbidden, NotFound, TooLarge, Refuses, Broken, Unavailable, Hangs, Absent:
	}
	w.WriteHeader(statuses[fault])
}
