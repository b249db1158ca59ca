package app

import "time"

// wallClock is what the store goes by. A build with the tag clockskew has one that is wrong.
var wallClock = time.Now
