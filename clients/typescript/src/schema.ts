// Made from /openapi.json by openapi-typescript: see test/schema.test.ts.
export interface paths {
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-readiness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["list-namespaces"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put: operations["put-namespace"];
        post?: never;
        delete: operations["drop-namespace"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/batch": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["batch"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/bounded/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-bounded"];
        put?: never;
        post: operations["change-bounded"];
        delete: operations["delete-bounded"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/bulk": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["bulk"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/changes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["follow-changes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/conflicts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["list-conflicts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/counters/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-counter"];
        put?: never;
        post: operations["change-counter"];
        delete: operations["delete-counter"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["export"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/flags/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-flag"];
        put: operations["enable-flag"];
        post?: never;
        delete: operations["disable-flag"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["list-keys"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/lists/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-list"];
        put?: never;
        post: operations["change-list"];
        delete: operations["delete-list"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/lists/{key}/items/{item}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-item"];
        put: operations["put-item"];
        post?: never;
        delete: operations["delete-item"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/maps/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-map"];
        put?: never;
        post?: never;
        delete: operations["delete-map"];
        options?: never;
        head?: never;
        patch: operations["change-map"];
        trace?: never;
    };
    "/v1/ns/{ns}/maps/{key}/fields/{path}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-field"];
        put: operations["put-field"];
        post?: never;
        delete: operations["delete-field"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/presence/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-presence"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/presence/{key}/members/{member}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-announcement"];
        put: operations["announce"];
        post?: never;
        delete: operations["withdraw"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/registers/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-register"];
        put: operations["put-register"];
        post?: never;
        delete: operations["delete-register"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/sets/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-set"];
        put?: never;
        post: operations["change-set"];
        delete: operations["delete-set"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/sets/{key}/members/{member}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-member"];
        put: operations["put-member"];
        post?: never;
        delete: operations["delete-member"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ns/{ns}/sync": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-sync"];
        put?: never;
        post: operations["sync"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/peers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["list-peers"];
        put?: never;
        post: operations["add-peer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/replicas/{id}/retire": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["retire-replica"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get-status"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Announcement: {
            /** Format: date-time */
            expires?: string;
            replica: string;
            value: unknown;
        };
        BadContextProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 400;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:bad-context";
        };
        BadCursorProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 400;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:bad-cursor";
        };
        BadRequestProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 400;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:bad-request";
        };
        Barrier: {
            /**
             * @default both
             * @enum {string}
             */
            direction: "pull" | "push" | "both";
            /** @default * */
            peer: string;
        };
        Batch: {
            if?: components["schemas"]["BatchCondition"][];
            ops: components["schemas"]["BatchOp"][];
        };
        BatchCondition: {
            /** @enum {boolean} */
            absent?: true;
            bounded?: string;
            counter?: string;
            etag?: string;
            flag?: string;
            list?: string;
            map?: string;
            register?: string;
            set?: string;
        };
        BatchOp: {
            add?: string[];
            after?: string;
            /** @enum {string} */
            at?: "start" | "end";
            before?: string;
            bounded?: string;
            counter?: string;
            /** @enum {boolean} */
            delete?: true;
            enable?: boolean;
            /** Format: date-time */
            expires?: string;
            flag?: string;
            inc?: number | string;
            insert?: unknown[];
            item?: string;
            list?: string;
            map?: string;
            path?: string[];
            register?: string;
            remove?: string[];
            /** @enum {boolean} */
            reset?: true;
            set?: string;
            ttl?: string;
            value?: unknown;
        };
        BatchResults: {
            results: components["schemas"]["OpResult"][];
        };
        Bounded: {
            key: string;
            rights: number | string;
            /** @enum {string} */
            type: "bounded";
            value: number | string;
        };
        BoundedOp: {
            ask?: number | string;
            inc?: number | string;
        };
        BulkResult: {
            /** Format: int64 */
            acks?: number;
            /** Format: int64 */
            added?: number;
            context?: string;
            /** Format: int64 */
            failed?: number;
            inserted?: string[];
            /** Format: int64 */
            line?: number;
            /** Format: int64 */
            lines?: number;
            problem?: components["schemas"]["Problem"];
            /** Format: int64 */
            removed?: number;
            replayed?: boolean;
            rights?: number | string;
            /** Format: int64 */
            status?: number;
            value?: number | string;
        };
        Change: {
            cursor: string;
            /** @enum {string} */
            event: "changed" | "removed" | "conflict" | "bookmark";
            key?: string;
            /** @enum {string} */
            type?: "bounded" | "counter" | "flag" | "list" | "map" | "presence" | "register" | "set";
            value?: unknown;
        };
        Changes: {
            changes: components["schemas"]["Change"][];
            cursor: string;
        };
        Conflict: {
            items?: string[];
            key: string;
            more?: boolean;
            paths?: string[][];
            /** @enum {string} */
            type: "list" | "map" | "register";
        };
        Conflicts: {
            conflicts: components["schemas"]["Conflict"][];
            next?: string;
        };
        Counter: {
            key: string;
            path?: string[];
            /** @enum {string} */
            type: "counter";
            value: number | string;
        };
        CounterOp: {
            inc?: number | string;
            /** @enum {boolean} */
            reset?: true;
        };
        CursorExpiredProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 410;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:cursor-expired";
        };
        DiskFullProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 507;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:disk-full";
        };
        Field: {
            conflict?: boolean;
            /** Format: date-time */
            expires?: string;
            items?: components["schemas"]["Item"][];
            key: string;
            members?: string[];
            next?: string;
            omitted?: components["schemas"]["OmittedSet"][];
            path: string[];
            /** Format: int64 */
            size?: number;
            /** @enum {string} */
            type: "counter" | "flag" | "list" | "map" | "register" | "set";
            value?: unknown;
            values?: unknown[];
        };
        Flag: {
            /** Format: date-time */
            expires?: string;
            key: string;
            path?: string[];
            /** @enum {string} */
            type: "flag";
            /** @enum {boolean} */
            value: true;
        };
        ForbiddenProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 403;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:forbidden";
        };
        Health: {
            /** @enum {string} */
            status: "ok";
        };
        IdempotencyInProgressProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 409;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:idempotency-in-progress";
        };
        IdempotencyKeyReusedProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 422;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:idempotency-key-reused";
        };
        InsufficientRightsProblem: {
            detail: string;
            rights?: number | string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 409;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:insufficient-rights";
            value?: number | string;
        };
        InternalProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 500;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:internal";
        };
        Item: {
            conflict?: boolean;
            /** Format: date-time */
            expires?: string;
            id: string;
            value: unknown;
            values?: unknown[];
        };
        Key: {
            key: string;
            /** @enum {string} */
            type: "bounded" | "counter" | "flag" | "list" | "map" | "presence" | "register" | "set";
        };
        Keys: {
            feed?: string;
            keys: components["schemas"]["Key"][];
            next?: string;
        };
        List: {
            items: components["schemas"]["Item"][];
            key: string;
            next?: string;
            path?: string[];
            /** Format: int64 */
            size: number;
            /** @enum {string} */
            type: "list";
        };
        ListChange: {
            inserted?: string[];
        };
        ListItem: {
            conflict?: boolean;
            /** Format: date-time */
            expires?: string;
            id: string;
            key: string;
            /** @enum {string} */
            type: "list";
            value: unknown;
            values?: unknown[];
        };
        ListOp: {
            after?: string;
            /** @enum {string} */
            at?: "start" | "end";
            before?: string;
            /** @enum {boolean} */
            delete?: true;
            /** Format: date-time */
            expires?: string;
            insert?: unknown[];
            item?: string;
            ttl?: string;
            value?: unknown;
        };
        Map: {
            key: string;
            next?: string;
            omitted?: components["schemas"]["OmittedSet"][];
            path?: string[];
            /** @enum {string} */
            type: "map";
            value: unknown;
        };
        MapOp: {
            add?: string[];
            after?: string;
            /** @enum {string} */
            at?: "start" | "end";
            before?: string;
            /** @enum {boolean} */
            delete?: true;
            enable?: boolean;
            /** Format: date-time */
            expires?: string;
            inc?: number | string;
            insert?: unknown[];
            item?: string;
            path: string[];
            remove?: string[];
            /** @enum {boolean} */
            reset?: true;
            ttl?: string;
            value?: unknown;
        };
        MapOps: {
            ops: components["schemas"]["MapOp"][];
        };
        MergePatch: {
            [key: string]: null | boolean | number | string | unknown[] | components["schemas"]["MergePatch"];
        };
        NamespaceInfo: {
            name: string;
            /** @enum {string} */
            storage: "disk" | "memory";
        };
        NamespaceNotFoundProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 404;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:namespace-not-found";
        };
        NamespaceOptions: {
            /**
             * @default disk
             * @enum {string}
             */
            storage: "disk" | "memory";
        };
        NamespaceStatus: {
            context: string;
            /** Format: int64 */
            entries: number;
            name: string;
            /** Format: int64 */
            objects: number;
            replica_id: string;
            unavailable?: string;
        };
        Namespaces: {
            namespaces: components["schemas"]["NamespaceInfo"][];
        };
        NewPeer: {
            addr: string;
        };
        NotAcceptableProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 406;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:not-acceptable";
        };
        NotFoundProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 404;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:not-found";
        };
        NotYetVisibleProblem: {
            detail: string;
            /** Format: int64 */
            missing?: number;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 503;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:not-yet-visible";
        };
        OmittedSet: {
            path: string[];
            /** Format: int64 */
            size: number;
        };
        OpResult: {
            /** Format: int64 */
            added?: number;
            inserted?: string[];
            /** Format: int64 */
            removed?: number;
            rights?: number | string;
            value?: number | string;
        };
        OverflowProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 422;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:overflow";
        };
        Peer: {
            addresses: string[];
            connected: boolean;
            id: string;
        };
        Peers: {
            peers: components["schemas"]["Peer"][];
        };
        PreconditionFailedProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 412;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:precondition-failed";
        };
        Presence: {
            key: string;
            members: components["schemas"]["PresenceMember"][];
            next?: string;
            /** Format: int64 */
            size: number;
            /** @enum {string} */
            type: "presence";
        };
        PresenceMember: {
            member: string;
            values: components["schemas"]["Announcement"][];
        };
        PresentMember: {
            key: string;
            member: string;
            /** @enum {string} */
            type: "presence";
            values: components["schemas"]["Announcement"][];
        };
        Problem: {
            detail: string;
            /** Format: int64 */
            limit?: number;
            /** Format: int64 */
            missing?: number;
            rights?: number | string;
            /** Format: int64 */
            status: number;
            title: string;
            type: string;
            value?: number | string;
        };
        RateLimitedProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 429;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:rate-limited";
        };
        Register: {
            conflict: boolean;
            /** Format: date-time */
            expires?: string;
            key: string;
            /** @enum {string} */
            type: "register";
            value: unknown;
            values?: unknown[];
        };
        Retired: {
            replica: string;
            sealed: components["schemas"]["Sealed"][];
        };
        Retirement: Record<string, never>;
        Sealed: {
            /** Format: int64 */
            final: number;
            namespace: string;
        };
        Set: {
            key: string;
            members: string[];
            next?: string;
            path?: string[];
            /** Format: int64 */
            size: number;
            /** @enum {string} */
            type: "set";
        };
        SetChange: {
            /** Format: int64 */
            added: number;
            /** Format: int64 */
            removed: number;
        };
        SetOp: {
            add?: string[];
            /** Format: date-time */
            expires?: string;
            remove?: string[];
            ttl?: string;
        };
        ShuttingDownProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 503;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:shutting-down";
        };
        Status: {
            addresses: string[];
            /** Format: int64 */
            disk_bytes: number;
            namespaces: components["schemas"]["NamespaceStatus"][];
            peer_id: string;
            /** Format: int64 */
            uptime_seconds: number;
            version: string;
        };
        StoreBusyProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 503;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:store-busy";
        };
        SyncStatus: {
            context: string;
            converged: boolean;
            halted?: string;
            peers: components["schemas"]["SyncedPeer"][];
            unavailable?: string;
        };
        SyncedPeer: {
            id: string;
            /** Format: date-time */
            last_exchange: string | null;
            /** Format: int64 */
            missing_here: number | null;
            /** Format: int64 */
            missing_there: number | null;
            /** @enum {string} */
            state: "connected" | "unreachable";
        };
        TooLargeProblem: {
            detail: string;
            /** Format: int64 */
            limit?: number;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 413;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:too-large";
        };
        TypedChild: {
            deadlines?: {
                [key: string]: string;
            };
            /** Format: date-time */
            expires?: string;
            items?: components["schemas"]["Item"][];
            members?: string[];
            /** Format: int64 */
            size?: number;
            /** @enum {string} */
            type: "counter" | "flag" | "list" | "map" | "register" | "set";
            value?: unknown;
            values?: unknown[];
        };
        TypedField: {
            conflict?: boolean;
            deadlines?: {
                [key: string]: string;
            };
            /** Format: date-time */
            expires?: string;
            hidden?: boolean;
            items?: components["schemas"]["Item"][];
            members?: string[];
            others?: components["schemas"]["TypedChild"][];
            path: string[];
            /** Format: int64 */
            size?: number;
            /** @enum {string} */
            type: "counter" | "flag" | "list" | "map" | "register" | "set";
            value?: unknown;
            values?: unknown[];
        };
        TypedMap: {
            conflict: boolean;
            fields: components["schemas"]["TypedField"][];
            key: string;
            next?: string;
            path?: string[];
            /** @enum {string} */
            type: "counter" | "flag" | "list" | "map" | "register" | "set";
        };
        UnsupportedMediaTypeProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 415;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:unsupported-media-type";
        };
        WrongTypeOpProblem: {
            detail: string;
            /**
             * Format: int64
             * @enum {integer}
             */
            status: 422;
            title: string;
            /** @enum {string} */
            type: "urn:anabranch:problem:wrong-type-op";
        };
    };
    responses: {
        "bad-request": {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["BadRequestProblem"];
            };
        };
        "bad-request_bad-context": {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["BadRequestProblem"] | components["schemas"]["BadContextProblem"];
            };
        };
        "bad-request_bad-context_bad-cursor": {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["BadRequestProblem"] | components["schemas"]["BadContextProblem"] | components["schemas"]["BadCursorProblem"];
            };
        };
        "cursor-expired": {
            headers: {
                "Idempotency-Replayed"?: "true";
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["CursorExpiredProblem"];
            };
        };
        "disk-full": {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["DiskFullProblem"];
            };
        };
        forbidden: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ForbiddenProblem"];
            };
        };
        "idempotency-in-progress": {
            headers: {
                "Idempotency-Replayed"?: "true";
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["IdempotencyInProgressProblem"];
            };
        };
        "idempotency-in-progress_insufficient-rights": {
            headers: {
                "Idempotency-Replayed"?: "true";
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["IdempotencyInProgressProblem"] | components["schemas"]["InsufficientRightsProblem"];
            };
        };
        "idempotency-key-reused": {
            headers: {
                "Idempotency-Replayed"?: "true";
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["IdempotencyKeyReusedProblem"];
            };
        };
        "idempotency-key-reused_overflow": {
            headers: {
                "Idempotency-Replayed"?: "true";
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["IdempotencyKeyReusedProblem"] | components["schemas"]["OverflowProblem"];
            };
        };
        "idempotency-key-reused_overflow_wrong-type-op": {
            headers: {
                "Idempotency-Replayed"?: "true";
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["IdempotencyKeyReusedProblem"] | components["schemas"]["OverflowProblem"] | components["schemas"]["WrongTypeOpProblem"];
            };
        };
        "idempotency-key-reused_wrong-type-op": {
            headers: {
                "Idempotency-Replayed"?: "true";
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["IdempotencyKeyReusedProblem"] | components["schemas"]["WrongTypeOpProblem"];
            };
        };
        "insufficient-rights": {
            headers: {
                "Idempotency-Replayed"?: "true";
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["InsufficientRightsProblem"];
            };
        };
        internal: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["InternalProblem"];
            };
        };
        "namespace-not-found": {
            headers: {
                "Anabranch-Context"?: string;
                "Preference-Applied"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["NamespaceNotFoundProblem"];
            };
        };
        "not-acceptable": {
            headers: {
                "Idempotency-Replayed"?: "true";
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["NotAcceptableProblem"];
            };
        };
        "not-found": {
            headers: {
                "Anabranch-Context"?: string;
                "Preference-Applied"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["NotFoundProblem"];
            };
        };
        "not-found_namespace-not-found": {
            headers: {
                "Anabranch-Context"?: string;
                "Preference-Applied"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["NotFoundProblem"] | components["schemas"]["NamespaceNotFoundProblem"];
            };
        };
        "not-yet-visible_shutting-down_store-busy": {
            headers: {
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["NotYetVisibleProblem"] | components["schemas"]["ShuttingDownProblem"] | components["schemas"]["StoreBusyProblem"];
            };
        };
        "precondition-failed": {
            headers: {
                "Idempotency-Replayed"?: "true";
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["PreconditionFailedProblem"];
            };
        };
        "rate-limited": {
            headers: {
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["RateLimitedProblem"];
            };
        };
        "shutting-down_store-busy": {
            headers: {
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ShuttingDownProblem"] | components["schemas"]["StoreBusyProblem"];
            };
        };
        "too-large": {
            headers: {
                "Idempotency-Replayed"?: "true";
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["TooLargeProblem"];
            };
        };
        "unsupported-media-type": {
            headers: {
                "Accept-Encoding"?: string;
                "Accept-Patch"?: string;
                "Accept-Post"?: string;
                "Idempotency-Replayed"?: "true";
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["UnsupportedMediaTypeProblem"];
            };
        };
    };
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    "get-health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            406: components["responses"]["not-acceptable"];
            500: components["responses"]["internal"];
        };
    };
    "get-openapi": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": unknown;
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            406: components["responses"]["not-acceptable"];
            500: components["responses"]["internal"];
        };
    };
    "get-readiness": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            406: components["responses"]["not-acceptable"];
            500: components["responses"]["internal"];
            503: components["responses"]["shutting-down_store-busy"];
        };
    };
    "list-namespaces": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Namespaces"];
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            406: components["responses"]["not-acceptable"];
            500: components["responses"]["internal"];
            503: components["responses"]["shutting-down_store-busy"];
        };
    };
    "put-namespace": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                ns: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NamespaceOptions"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NamespaceInfo"];
                };
            };
            201: {
                headers: {
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NamespaceInfo"];
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            406: components["responses"]["not-acceptable"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            500: components["responses"]["internal"];
            503: components["responses"]["shutting-down_store-busy"];
        };
    };
    "drop-namespace": {
        parameters: {
            query: {
                drop: "local";
            };
            header?: never;
            path: {
                ns: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            500: components["responses"]["internal"];
            503: components["responses"]["shutting-down_store-busy"];
        };
    };
    batch: {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "Idempotency-Key"?: string;
            };
            path: {
                ns: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Batch"];
            };
        };
        responses: {
            200: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BatchResults"];
                };
            };
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BatchResults"];
                };
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            409: components["responses"]["idempotency-in-progress_insufficient-rights"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            422: components["responses"]["idempotency-key-reused_overflow_wrong-type-op"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "get-bounded": {
        parameters: {
            query?: never;
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Bounded"];
                };
            };
            304: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "change-bounded": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "Idempotency-Key"?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BoundedOp"];
            };
        };
        responses: {
            200: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Bounded"];
                };
            };
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Bounded"];
                };
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            409: components["responses"]["idempotency-in-progress_insufficient-rights"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            422: components["responses"]["idempotency-key-reused_overflow"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "delete-bounded": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            409: components["responses"]["insufficient-rights"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    bulk: {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "Idempotency-Key"?: string;
            };
            path: {
                ns: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/x-ndjson": components["schemas"]["BatchOp"];
            };
        };
        responses: {
            200: {
                headers: {
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": components["schemas"]["BulkResult"];
                };
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            409: components["responses"]["idempotency-in-progress"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            422: components["responses"]["idempotency-key-reused"];
            429: components["responses"]["rate-limited"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "follow-changes": {
        parameters: {
            query?: {
                since?: string;
                type?: "bounded" | "counter" | "flag" | "list" | "map" | "presence" | "register" | "set";
                prefix?: string;
                include?: "value";
                limit?: number;
                timeout?: string;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "Last-Event-ID"?: string;
            };
            path: {
                ns: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Changes"];
                    "application/x-ndjson": components["schemas"]["Change"];
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["bad-request_bad-context_bad-cursor"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            410: components["responses"]["cursor-expired"];
            429: components["responses"]["rate-limited"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "list-conflicts": {
        parameters: {
            query?: {
                limit?: number;
                cursor?: string;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
            };
            path: {
                ns: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Conflicts"];
                };
            };
            400: components["responses"]["bad-request_bad-context_bad-cursor"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "get-counter": {
        parameters: {
            query?: never;
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Counter"];
                };
            };
            304: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "change-counter": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "Idempotency-Key"?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CounterOp"];
            };
        };
        responses: {
            200: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Counter"];
                };
            };
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Counter"];
                };
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            409: components["responses"]["idempotency-in-progress"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            422: components["responses"]["idempotency-key-reused_overflow_wrong-type-op"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "delete-counter": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    export: {
        parameters: {
            query?: never;
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
            };
            path: {
                ns: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": components["schemas"]["BatchOp"];
                };
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "get-flag": {
        parameters: {
            query?: never;
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Flag"];
                };
            };
            304: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "enable-flag": {
        parameters: {
            query?: {
                ttl?: string;
                expires?: string;
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "disable-flag": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "list-keys": {
        parameters: {
            query?: {
                type?: "bounded" | "counter" | "flag" | "list" | "map" | "presence" | "register" | "set";
                prefix?: string;
                limit?: number;
                cursor?: string;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
            };
            path: {
                ns: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Keys"];
                };
            };
            400: components["responses"]["bad-request_bad-context_bad-cursor"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "get-list": {
        parameters: {
            query?: {
                limit?: number;
                cursor?: string;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["List"];
                };
            };
            304: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context_bad-cursor"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "change-list": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "Idempotency-Key"?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ListOp"];
            };
        };
        responses: {
            200: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ListChange"];
                };
            };
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ListChange"];
                };
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            409: components["responses"]["idempotency-in-progress"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            422: components["responses"]["idempotency-key-reused_wrong-type-op"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "delete-list": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "get-item": {
        parameters: {
            query?: never;
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
            };
            path: {
                ns: string;
                key: string;
                item: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ListItem"];
                };
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "put-item": {
        parameters: {
            query?: {
                ttl?: string;
                expires?: string;
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
                item: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": unknown;
            };
        };
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "delete-item": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
                item: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "get-map": {
        parameters: {
            query?: {
                shape?: "plain" | "typed";
                limit?: number;
                cursor?: string;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Map"] | components["schemas"]["TypedMap"];
                };
            };
            304: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context_bad-cursor"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "delete-map": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "change-map": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "Idempotency-Key"?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MapOps"];
                "application/merge-patch+json": components["schemas"]["MergePatch"];
            };
        };
        responses: {
            200: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Map"];
                };
            };
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Map"];
                };
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            409: components["responses"]["idempotency-in-progress"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            422: components["responses"]["idempotency-key-reused_overflow_wrong-type-op"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "get-field": {
        parameters: {
            query?: {
                shape?: "plain" | "typed";
                prefix?: string;
                limit?: number;
                cursor?: string;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
            };
            path: {
                ns: string;
                key: string;
                path: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Field"] | components["schemas"]["TypedMap"];
                };
            };
            400: components["responses"]["bad-request_bad-context_bad-cursor"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "put-field": {
        parameters: {
            query?: {
                ttl?: string;
                expires?: string;
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
                path: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": unknown;
            };
        };
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "delete-field": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
                path: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "get-presence": {
        parameters: {
            query?: {
                prefix?: string;
                limit?: number;
                cursor?: string;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Presence"];
                };
            };
            304: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context_bad-cursor"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "get-announcement": {
        parameters: {
            query?: never;
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
            };
            path: {
                ns: string;
                key: string;
                member: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PresentMember"];
                };
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    announce: {
        parameters: {
            query?: {
                ttl?: string;
                expires?: string;
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
                member: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": unknown;
            };
        };
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    withdraw: {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
                member: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "get-register": {
        parameters: {
            query?: never;
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Register"];
                };
            };
            304: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "put-register": {
        parameters: {
            query?: {
                ttl?: string;
                expires?: string;
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": unknown;
            };
        };
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "delete-register": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "get-set": {
        parameters: {
            query?: {
                prefix?: string;
                limit?: number;
                cursor?: string;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Set"];
                };
            };
            304: {
                headers: {
                    "Anabranch-Context"?: string;
                    ETag?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context_bad-cursor"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "change-set": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "Idempotency-Key"?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetOp"];
            };
        };
        responses: {
            200: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SetChange"];
                };
            };
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Idempotency-Replayed"?: "true";
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SetChange"];
                };
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            409: components["responses"]["idempotency-in-progress"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            422: components["responses"]["idempotency-key-reused_wrong-type-op"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "delete-set": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "get-member": {
        parameters: {
            query?: never;
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
            };
            path: {
                ns: string;
                key: string;
                member: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
        };
    };
    "put-member": {
        parameters: {
            query?: {
                ttl?: string;
                expires?: string;
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
                member: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "delete-member": {
        parameters: {
            query?: {
                acks?: number;
            };
            header?: {
                "Anabranch-Context"?: string;
                Prefer?: string;
                "If-Match"?: string;
                "If-None-Match"?: string;
            };
            path: {
                ns: string;
                key: string;
                member: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            204: {
                headers: {
                    "Anabranch-Acks"?: number;
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["bad-request_bad-context"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            412: components["responses"]["precondition-failed"];
            413: components["responses"]["too-large"];
            500: components["responses"]["internal"];
            503: components["responses"]["not-yet-visible_shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "get-sync": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                ns: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SyncStatus"];
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            500: components["responses"]["internal"];
            503: components["responses"]["shutting-down_store-busy"];
        };
    };
    sync: {
        parameters: {
            query?: never;
            header?: {
                Prefer?: string;
            };
            path: {
                ns: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Barrier"];
            };
        };
        responses: {
            200: {
                headers: {
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SyncStatus"];
                };
            };
            202: {
                headers: {
                    "Anabranch-Context"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SyncStatus"];
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found_namespace-not-found"];
            406: components["responses"]["not-acceptable"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            500: components["responses"]["internal"];
            503: components["responses"]["shutting-down_store-busy"];
        };
    };
    "list-peers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Peers"];
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            406: components["responses"]["not-acceptable"];
            500: components["responses"]["internal"];
            503: components["responses"]["shutting-down_store-busy"];
        };
    };
    "add-peer": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewPeer"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NewPeer"];
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            406: components["responses"]["not-acceptable"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            500: components["responses"]["internal"];
            503: components["responses"]["shutting-down_store-busy"];
        };
    };
    "retire-replica": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Retirement"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Retired"];
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            404: components["responses"]["not-found"];
            406: components["responses"]["not-acceptable"];
            413: components["responses"]["too-large"];
            415: components["responses"]["unsupported-media-type"];
            500: components["responses"]["internal"];
            503: components["responses"]["shutting-down_store-busy"];
            507: components["responses"]["disk-full"];
        };
    };
    "get-status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Status"];
                };
            };
            400: components["responses"]["bad-request"];
            403: components["responses"]["forbidden"];
            406: components["responses"]["not-acceptable"];
            500: components["responses"]["internal"];
            503: components["responses"]["shutting-down_store-busy"];
        };
    };
}
