#include "blobs/store_db_error.h"

#include <iroh/error.h>

#include "blobs/store_os.h"

static int error_of_code(int code) {
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return IROH_ERR_NOMEM;
    case SQLITE_FULL:
        return IROH_ERR_NO_SPACE;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return IROH_ERR_ACCESS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
        return IROH_ERR_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return IROH_ERR_AGAIN;
    case SQLITE_TOOBIG:
        return IROH_ERR_TOO_LARGE;
    default:
        return IROH_ERR_IO;
    }
}

// Why a write failed. SQLite knows no limits but that of the disk; those of the process or the user are in errno, which is
// kept with the file: the log or the database.
static int write_errno(sqlite3 *db) {
    int number = 0;
    sqlite3_file *log = NULL;
    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log != NULL && log->pMethods != NULL)
        (void)log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &number);
    if (number == 0)
        (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
    return number;
}

int store_db_error(sqlite3 *db, int code) {
    if (code != SQLITE_IOERR_WRITE || db == NULL)
        return error_of_code(code);
    int r = store_os_error(write_errno(db));
    return r == IROH_ERR_NO_SPACE || r == IROH_ERR_ACCESS ? r : IROH_ERR_IO;
}
