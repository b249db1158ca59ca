package app

import (
	"fmt"
	"log/slog"

	"github.com/anabranchdb/anabranch/store"
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
		if namespace == store.Default {
			return fmt.Sprintf(`To repair: save what is here with "anabranch export -o FILE"; stop this daemon; move the directory %s away, `+
				`make it again, and put nothing but the cluster.key of the old one into it; start the daemon; when "anabranch sync" says that `+
				`it has converged, compare "anabranch export" with FILE, and write again what is missing`, a.cfg.DataDir)
		}
		return fmt.Sprintf(`To repair: save what is here with "anabranch export --ns %[1]s -o FILE"; "anabranch namespace drop %[1]s --local"; `+
			`"anabranch namespace create %[1]s"; when "anabranch sync --ns %[1]s" says that it has converged, compare `+
			`"anabranch export --ns %[1]s" with FILE, and write again what is missing`, namespace)
	case peersync.AlarmForeignFork:
		return `Look for the daemon that shows this replica id in "anabranch status": its log says how to repair it`
	}
	return fmt.Sprintf("It is a bug, or a disk that lies: keep the directory %s and that of the peer, and report it. "+
		"To get one copy right again, start its daemon with an empty directory", a.cfg.DataDir)
}
