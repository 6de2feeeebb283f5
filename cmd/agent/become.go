package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// becomeOwnerOf makes this process one of the user whose state directory dir is, where it is root's and the directory is
// another's: what root would run and write there the agent runs and writes as that user, and that user may exchange every
// name in it meanwhile. There is no way back.
func becomeOwnerOf(dir string) error {
	info, err := os.Stat(dir)
	if os.Geteuid() != 0 || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the state directory: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 {
		return nil
	}
	gid, groups := groupsOf(int(stat.Uid), int(stat.Gid))
	err = syscall.Setgroups(groups)
	if err == nil {
		err = syscall.Setgid(gid)
	}
	if err == nil {
		err = syscall.Setuid(int(stat.Uid))
	}
	if err != nil {
		return fmt.Errorf("becoming user %d, whose %s is: %w", stat.Uid, dir, err)
	}
	return nil
}

// groupsOf are the groups of a user as the system knows them; for one that it does not know, the group of the directory.
func groupsOf(uid, gid int) (primary int, all []int) {
	account, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return gid, []int{gid}
	}
	if n, err := strconv.Atoi(account.Gid); err == nil {
		gid = n
	}
	all = []int{gid}
	ids, _ := account.GroupIds()
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && n != gid {
			all = append(all, n)
		}
	}
	return gid, all
}
