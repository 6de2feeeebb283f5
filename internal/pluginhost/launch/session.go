package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/windsock-monitor/windsock/internal/process"
)

// noted begins the names of the files that say which sessions are plugins'. They are beside the plugins' own folders, where no
// plugin can write.
const noted = "session-"

// noteSession writes down which session the process leads, for the agent after one that was killed.
func noteSession(sockets string, leader int) (path string, err error) {
	session, err := process.SessionOf(leader)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(session)
	if err != nil {
		return "", err
	}
	path = filepath.Join(sockets, noted+strconv.Itoa(leader))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", errors.Join(fmt.Errorf("writing down its session: %w", err), os.Remove(path))
	}
	return path, nil
}

// Clear makes a folder of sockets empty, after the plugins of an agent that was killed have ended with all that they started.
// No plugin is running that was started with the folder by this agent.
func Clear(sockets string, log *slog.Logger) error {
	left, err := os.ReadDir(sockets)
	if err != nil {
		return fmt.Errorf("reading the folder of the plugins' sockets: %w", err)
	}
	notes, _ := filepath.Glob(filepath.Join(sockets, noted+"*"))
	for _, path := range notes {
		var session process.Session
		data, err := os.ReadFile(path) //nolint:gosec // in our own folder
		if err != nil || json.Unmarshal(data, &session) != nil {
			continue // cut off by the end of the agent before
		}
		killed, all := session.EndLeft()
		if killed > 0 {
			log.Warn("plugin of an agent before left processes behind, which were killed", "count", killed, "all", all)
		}
	}
	for _, entry := range left {
		if err := removeLeft(filepath.Join(sockets, entry.Name())); err != nil {
			return fmt.Errorf("clearing the folder of the plugins' sockets: %w", err)
		}
	}
	return nil
}
