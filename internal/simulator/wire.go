package simulator

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net"
	"net/http"
	"strconv"
)

// fail sends an error in the shape that it has. It costs nothing.
func (x *exchange) fail(e failure) {
	h := x.w.Header()
	text, contentType := e.body(x.id)
	x.headers(0)
	for name, value := range e.headers {
		h.Set(name, value)
	}
	if after := x.fault.retryAfter(x.s.speed); after != "" && e.status >= http.StatusMultipleChoices {
		h.Set("Retry-After", after)
	}
	x.send(e.status, contentType, []byte(text))
}

// refuse sends what the fault puts in the place of an answer.
func (x *exchange) refuse(e failure) {
	if x.fault.EchoKey {
		e.message = orElse(e.message, "Invalid request") + " (Authorization: " + x.r.Header.Get("Authorization") + ")"
		for i := range e.detail {
			e.detail[i].Msg = e.message
		}
	}
	switch {
	case x.fault.GzipBomb > 0:
		x.flood(orElse(x.fault.Status, http.StatusOK), x.fault.GzipBomb, true)
	case x.fault.HugeBody > 0:
		x.flood(orElse(x.fault.Status, http.StatusOK), x.fault.HugeBody, false)
	default:
		x.fail(e)
	}
}

// reply sends the route's own answer.
func (x *exchange) reply(v any) { x.replyFor(v, 0) }

func (x *exchange) replyFor(v any, tokens int) {
	x.headers(tokens)
	x.send(http.StatusOK, "application/json", []byte(encode(v)))
}

// send is the only way out for an answer that is not a stream: it books it, then plays the faults that cut or drip it.
func (x *exchange) send(status int, contentType string, body []byte) {
	h := x.w.Header()
	h["Content-Type"] = nil // where there is none, net/http must not guess one
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	x.override()
	x.count(strconv.Itoa(status))
	f := x.fault
	half := body[:len(body)/2]
	switch {
	case f.Reset != "":
		h.Set("Content-Length", strconv.Itoa(len(body)+1)) // more was promised, also where there is no body
		x.w.WriteHeader(status)
		x.write(half)
		x.cut(f.Reset == "mid_body")
	case f.StallAfter != nil:
		h.Set("Content-Length", strconv.Itoa(len(body)+1))
		x.w.WriteHeader(status)
		x.write(half)
		x.stall()
	case f.TruncateAfter != nil:
		x.w.WriteHeader(status)
		x.write(half)
	default:
		h.Set("Content-Length", strconv.Itoa(len(body)))
		x.w.WriteHeader(status)
		x.write(body)
	}
}

// override sets the headers that the fault names.
func (x *exchange) override() {
	for name, value := range x.fault.Headers {
		x.w.Header().Set(name, value)
	}
}

// write sends bytes at once, or one at a time to those who were asked to wait, and reports whether the client still
// reads.
func (x *exchange) write(data []byte) bool {
	step := len(data)
	if x.fault.SlowLoris > 0 {
		step = 1
	}
	flusher := http.NewResponseController(x.w)
	for len(data) > 0 {
		if _, err := x.w.Write(data[:step]); err != nil { //nolint:gosec // echoing what came in is what a fault may ask for
			return false
		}
		data = data[step:]
		if err := flusher.Flush(); err != nil {
			return false
		}
		if x.fault.SlowLoris > 0 && !x.wait(x.fault.SlowLoris) {
			panic(http.ErrAbortHandler)
		}
	}
	if err := flusher.Flush(); err != nil { // the header, where there was no body
		return false
	}
	return true
}

// stall says no more until the client leaves or the server stops.
func (x *exchange) stall() {
	<-x.r.Context().Done()
	panic(http.ErrAbortHandler)
}

// cut closes the connection under the answer: with a reset, or as if the process behind it had ended.
func (x *exchange) cut(reset bool) {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or a recorder: the nearest thing to it
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		err = tcp.SetLinger(0)
	}
	if err := errors.Join(err, conn.Close()); err != nil {
		x.s.log.Debug("connection could not be cut as asked", "error", err)
	}
}

// flood sends size bytes of JSON that never gets anywhere, or a small file that becomes as much.
func (x *exchange) flood(status int, size int64, zipped bool) {
	const block = 1 << 20
	x.headers(0)
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	x.override()
	x.count(strconv.Itoa(status))
	x.w.WriteHeader(status)
	chunk := func(head string, n int64) []byte {
		data := append([]byte(head), bytes.Repeat([]byte("a"), int(n)-len(head))...)
		if zipped {
			data = squeeze(data)
		}
		return data
	}
	head := `{"object":"list","data":"`
	if size < int64(len(head)) {
		head = head[:size]
	}
	first := min(size, block)
	if !x.write(chunk(head, first)) {
		return
	}
	full := chunk("", block)
	for left := size - first; left > 0; left -= block {
		if left < block {
			full = chunk("", left)
		}
		if x.r.Context().Err() != nil || !x.write(full) {
			return
		}
	}
}

// squeeze makes one member of a gzip file; a file is as many of them as one likes.
func squeeze(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(data) //nolint:errcheck // a bytes.Buffer takes everything
	w.Close()     //nolint:errcheck // as above
	return out.Bytes()
}
