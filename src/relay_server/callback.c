// Asking a web server who may use the relay: a POST for each client, on a thread of its own, since it takes as long as that
// server takes. Questions come in over a list, answers go back as letters to the loop that asked.
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include <iroh/error.h>

#include "base/hex.h"
#include "relay_server/state.h"

#define QUESTIONS_MAX 4096      // at a time; further clients are denied
#define ANSWER_TIMEOUT_MS 9000  // a little less than the session waits (RELAY_ACCESS_TIMEOUT)
#define CONNECTIONS_MAX 32      // to the web server
#define FIELD_MAX 128
#define YES "true"

typedef struct question {
    struct question *next;
    struct callback *callback;
    relay_loop *loop;
    uint64_t conn;
    letter_verdict *verdict;  // made at once, so that answering needs no memory
    char id[2 * RELAY_ID + 1];
    CURL *request;
    struct curl_slist *fields;
    char answer[sizeof YES];  // as far as it can be right
    size_t answer_len;
} question;

struct callback {
    const iroh_relay *server;
    CURLM *multi;
    uv_thread_t thread;
    uv_mutex_t lock;
    question *first, **last;  // under the lock: not begun
    size_t open;              // under the lock: not answered
    bool stop;                // under the lock
    char *bearer;             // a header field; null: none
};

// --- One question

static void answer(question *q, bool allow) {
    struct callback *cb = q->callback;
    q->verdict->allow = allow;
    mailbox_push(&q->loop->mailbox, &q->verdict->letter);
    uv_mutex_lock(&cb->lock);
    cb->open--;
    uv_mutex_unlock(&cb->lock);
    curl_slist_free_all(q->fields);
    curl_easy_cleanup(q->request);
    free(q);
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *user) {
    question *q = user;
    size_t len = size * count, room = sizeof q->answer - q->answer_len;
    memcpy(q->answer + q->answer_len, bytes, len < room ? len : room);
    q->answer_len += len < room ? len : room;
    return len;
}

static bool add_field(question *q, const char *text) {
    struct curl_slist *longer = curl_slist_append(q->fields, text);
    if (longer != NULL)
        q->fields = longer;
    return longer != NULL;
}

// Both names of the id's field: old services know the second alone. An empty body has no type.
static bool add_fields(question *q) {
    char field[FIELD_MAX];
    (void)snprintf(field, sizeof field, "X-Iroh-Endpoint-Id: %s", q->id);
    if (!add_field(q, field))
        return false;
    (void)snprintf(field, sizeof field, "X-Iroh-NodeId: %s", q->id);
    return add_field(q, field) && add_field(q, "Content-Type:") &&
           (q->callback->bearer == NULL || add_field(q, q->callback->bearer));
}

static bool begin(question *q) {
    CURL *r = q->request = curl_easy_init();
    return r != NULL && add_fields(q) &&
           curl_easy_setopt(r, CURLOPT_URL, q->callback->server->config.callback_url) == 0 &&
           curl_easy_setopt(r, CURLOPT_PROTOCOLS_STR, "http,https") == 0 &&
           curl_easy_setopt(r, CURLOPT_POSTFIELDS, "") == 0 &&
           curl_easy_setopt(r, CURLOPT_HTTPHEADER, q->fields) == 0 &&
           curl_easy_setopt(r, CURLOPT_TIMEOUT_MS, (long)ANSWER_TIMEOUT_MS) == 0 &&
           curl_easy_setopt(r, CURLOPT_NOSIGNAL, 1L) == 0 &&
           curl_easy_setopt(r, CURLOPT_WRITEFUNCTION, on_bytes) == 0 &&
           curl_easy_setopt(r, CURLOPT_WRITEDATA, q) == 0 && curl_easy_setopt(r, CURLOPT_PRIVATE, q) == 0 &&
           curl_multi_add_handle(q->callback->multi, r) == CURLM_OK;
}

static bool is_yes(const question *q, CURLcode result) {
    long status = 0;
    (void)curl_easy_getinfo(q->request, CURLINFO_RESPONSE_CODE, &status);
    return result == CURLE_OK && status == 200 && q->answer_len == sizeof YES - 1 &&
           memcmp(q->answer, YES, sizeof YES - 1) == 0;
}

// --- The thread

static bool begin_new(struct callback *cb) {
    uv_mutex_lock(&cb->lock);
    question *q = cb->first;
    cb->first = NULL;
    cb->last = &cb->first;
    bool stop = cb->stop;
    uv_mutex_unlock(&cb->lock);
    for (question *next; q != NULL; q = next) {
        next = q->next;
        if (stop || !begin(q))
            answer(q, false);
    }
    return !stop;
}

static void take_answers(struct callback *cb) {
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(cb->multi, &left)) != NULL;) {
        void *user = NULL;
        CURLcode result = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&user);
        (void)curl_multi_remove_handle(cb->multi, m->easy_handle);
        question *q = user;
        if (result != CURLE_OK)
            log_line(&cb->server->log, LOG_WARN, "asking %s about %.10s failed: %s", cb->server->config.callback_url,
                     q->id, curl_easy_strerror(result));
        answer(q, is_yes(q, result));
    }
}

static void run(void *user) {
    struct callback *cb = user;
    int running;
    while (begin_new(cb)) {
        (void)curl_multi_perform(cb->multi, &running);
        take_answers(cb);
        (void)curl_multi_poll(cb->multi, NULL, 0, ANSWER_TIMEOUT_MS, NULL);
    }
    // What is under way ends at its own time limit, well before anybody would miss it.
    do {
        (void)curl_multi_perform(cb->multi, &running);
        take_answers(cb);
        if (running > 0)
            (void)curl_multi_poll(cb->multi, NULL, 0, ANSWER_TIMEOUT_MS, NULL);
    } while (running > 0);
}

// --- From outside

bool callback_ask(struct callback *cb, relay_loop *l, uint64_t number, const uint8_t id[static RELAY_ID]) {
    question *q = calloc(1, sizeof *q);
    letter_verdict *verdict = calloc(1, sizeof *verdict);
    bool taken = false;
    if (q != NULL && verdict != NULL) {
        *verdict = (letter_verdict){.letter.kind = LETTER_VERDICT, .conn = number};
        *q = (question){.callback = cb, .loop = l, .conn = number, .verdict = verdict};
        hex_encode(id, RELAY_ID, q->id);
        uv_mutex_lock(&cb->lock);
        taken = cb->open < QUESTIONS_MAX;
        if (taken) {
            cb->open++;
            *cb->last = q;
            cb->last = &q->next;
        }
        uv_mutex_unlock(&cb->lock);
    }
    if (!taken) {
        free(q);
        free(verdict);
        return false;
    }
    (void)curl_multi_wakeup(cb->multi);
    return true;
}

static int make_bearer(struct callback *cb) {
    static const char start[] = "Authorization: Bearer ";
    const char *token = cb->server->config.callback_bearer;
    if (token == NULL)
        return 0;
    size_t size = sizeof start + strlen(token);
    cb->bearer = malloc(size);
    if (cb->bearer == NULL)
        return IROH_ERR_NOMEM;
    (void)snprintf(cb->bearer, size, "%s%s", start, token);
    return 0;
}

static void dispose(struct callback *cb) {
    if (cb->multi != NULL)
        (void)curl_multi_cleanup(cb->multi);
    free(cb->bearer);
    free(cb);
    curl_global_cleanup();
}

int callback_new(iroh_relay *r, struct callback **out) {
    struct callback *cb = calloc(1, sizeof *cb);
    if (cb == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        free(cb);
        return IROH_ERR_NOMEM;
    }
    cb->server = r;
    cb->last = &cb->first;
    cb->multi = curl_multi_init();
    int result = cb->multi != NULL ? make_bearer(cb) : IROH_ERR_NOMEM;
    if (result != 0 || uv_mutex_init(&cb->lock) != 0) {
        dispose(cb);
        return IROH_ERR_NOMEM;
    }
    (void)curl_multi_setopt(cb->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)CONNECTIONS_MAX);
    if (uv_thread_create(&cb->thread, run, cb) != 0) {
        uv_mutex_destroy(&cb->lock);
        dispose(cb);
        return IROH_ERR_NOMEM;
    }
    *out = cb;
    return 0;
}

void callback_free(struct callback *cb) {
    if (cb == NULL)
        return;
    uv_mutex_lock(&cb->lock);
    cb->stop = true;
    uv_mutex_unlock(&cb->lock);
    (void)curl_multi_wakeup(cb->multi);
    (void)uv_thread_join(&cb->thread);
    uv_mutex_destroy(&cb->lock);
    dispose(cb);
}
