package app

import (
	"fmt"
	"log/slog"

	peersync "github.com/anabranchdb/anabranch/sync"
	"github.com/anabranchdb/anabranch/sync/p2p"
)

// logAlarm tells the operator of an alarm: one line, with what to do about it.
func (a *App) logAlarm(log *slog.Logger, alarm p2p.Alarm) {
	log.Error(alarm.Text+". "+a.remedy(alarm.Kind, alarm.Namespace),
		"alarm", string(alarm.Kind), "namespace", alarm.Namespace, "peer", alarm.Peer)
}

// remedy says what to do about an alarm. docs/operations.md says the same at more length.
func (a *App) remedy(kind peersync.AlarmKind, namespace string) string {
	switch kind {
	case peersync.AlarmFork:
		return fmt.Sprintf("It heals by itself: the namespace %s begins anew under a fresh replica id, fetches what the peer holds, and writes again what "+
			"only this copy held. Until then, seconds while the peer is there, it answers 503. Look for what copied or rolled back the disk", namespace)
	case peersync.AlarmForeignFork:
		return `Look for the daemon that shows this replica id in "anabranch status": it has to hear of a daemon that knows its other history: then it heals by itself`
	}
	return fmt.Sprintf("It is a bug, or a disk that lies: keep the directory %s and that of the peer, and report it. "+
		"To get one copy right again, start its daemon with an empty directory", a.cfg.DataDir)
}
