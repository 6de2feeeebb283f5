package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
)

// healthPath is what /health is on the control socket.
const healthPath = "/v1/health"

// NotAllowedError is a socket that this user may not use. Its text says who may.
type NotAllowedError struct {
	Socket string
	cause  error
}

func (e *NotAllowedError) Error() string {
	return fmt.Sprintf("the agent's socket %s is not for this user (%v): ask as %s", e.Socket, e.cause, whoMay(e.Socket))
}

func (e *NotAllowedError) Unwrap() error { return e.cause }

// whoMay says who may use a file of the agent's, after the folder that it is in where it cannot be seen itself.
func whoMay(path string) string {
	var stat unix.Stat_t
	if unix.Stat(path, &stat) != nil && unix.Stat(filepath.Dir(path), &stat) != nil {
		return "root, as the agent's user or as one of its group"
	}
	owner, group := fmt.Sprintf("uid %d", stat.Uid), fmt.Sprintf("gid %d", stat.Gid)
	if known, err := user.LookupId(strconv.Itoa(int(stat.Uid))); err == nil {
		owner = known.Username
	}
	if known, err := user.LookupGroupId(strconv.Itoa(int(stat.Gid))); err == nil {
		group = known.Name
	}
	if owner != "root" {
		owner = "root or " + owner
	}
	if stat.Gid == 0 { // nobody becomes root for the sake of a socket
		return owner + " (sudo)"
	}
	return fmt.Sprintf("%s (sudo), or as one of the group %s (`usermod -aG %s USER`, then log in anew)", owner, group, group)
}

// mostAnswer is how much of an answer is read.
const mostAnswer = 16 << 20

// patience is how long an agent may take for what one that is well answers at once.
const patience = 10 * time.Second

// Client asks the running agent through its control socket.
type Client struct {
	socket   string
	patience time.Duration
}

// NewClient makes a client of the agent that listens there. It connects when it is asked for something.
func NewClient(socket string) *Client { return &Client{socket, patience} }

// Within is a client that waits for so long where Ask waits.
func (c *Client) Within(most time.Duration) *Client { return &Client{c.socket, most} }

// SilentError is an agent that runs, and does not answer: it is stopped, or waits for its disk.
type SilentError struct{ Waited time.Duration }

func (e *SilentError) Error() string {
	return fmt.Sprintf("the running agent did not answer within %s: it may be stopped, or wait for its disk", e.Waited)
}

// Ask is Call of what an agent that is well answers at once. Of one that does not the error is a *SilentError.
func (c *Client) Ask(ctx context.Context, method, path string, body, into any) error {
	bounded, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	err := c.Call(bounded, method, path, body, into)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &SilentError{c.patience}
	}
	return err
}

// RefusedError is the running agent's refusal.
type RefusedError struct {
	Status int // of HTTP: 404 where there is no such thing, 400 where it was asked wrongly, 401 without the token
	Text   string
}

func (e *RefusedError) Error() string { return e.Text }

// Call makes one request; body and into may be nil. The error is a *RefusedError where the agent answered and refused.
func (c *Client) Call(ctx context.Context, method, path string, body, into any) error {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("asking the running agent: %w", err)
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, payload)
	if err != nil {
		return fmt.Errorf("asking the running agent: %w", err)
	}
	token, unread := os.ReadFile(tokenPath(c.socket))
	req.Header.Set("Authorization", bearer+strings.TrimSpace(string(token)))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: c.dial}}
	resp, err := client.Do(req)
	if err != nil {
		return c.unheard(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("reading the running agent's answer: %w", err)
	case resp.StatusCode == http.StatusUnauthorized && unread != nil:
		return fmt.Errorf("the token of the agent's socket cannot be read (%w): ask as %s", unread, whoMay(tokenPath(c.socket)))
	case resp.StatusCode/100 != 2:
		return &RefusedError{resp.StatusCode, strings.TrimSpace(string(data))}
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading the running agent's answer: %w", err)
	}
	return nil
}

// unheard is why the agent was not asked, in words of what to do.
func (c *Client) unheard(err error) error {
	var number syscall.Errno
	switch {
	case !errors.As(err, &number):
	case number == syscall.ENOENT, number == syscall.ECONNREFUSED:
		return fmt.Errorf("no agent listens on %s (%w): start it, or give the configuration that it runs with", c.socket, number)
	case errors.Is(number, fs.ErrPermission):
		return &NotAllowedError{c.socket, number}
	}
	return fmt.Errorf("asking the running agent: %w", err)
}

func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
}

// Health is /health of the running agent, as JSON.
func (c *Client) Health(ctx context.Context) (json.RawMessage, error) {
	var body json.RawMessage
	err := c.Ask(ctx, http.MethodGet, healthPath, nil, &body)
	return body, err
}

// Run has the running agent make one run by hand, through its own breaker, budget and store.
func (c *Client) Run(ctx context.Context, check string) (*checks.Report, error) {
	return c.RunAs(ctx, check, checks.TriggerManual)
}

// RunAs is Run for another reason: manual, gate or drill. A *RefusedError of status 409 is that the check runs at this moment.
func (c *Client) RunAs(ctx context.Context, check string, why checks.Trigger) (*checks.Report, error) {
	path := "/v1/checks/" + url.PathEscape(check) + "/run"
	if why != checks.TriggerManual {
		path += "?trigger=" + url.QueryEscape(string(why))
	}
	var record checks.Record
	if err := c.Call(ctx, http.MethodPost, path, nil, &record); err != nil {
		return nil, fmt.Errorf("running %q in the running agent: %w", check, err)
	}
	if record.Report == nil {
		return nil, fmt.Errorf("the running agent's answer is not a report of %q", check)
	}
	return record.Report, nil
}
