// What SQLite reports, as one of our errors.
#ifndef BLOBS_STORE_DB_ERROR_H
#define BLOBS_STORE_DB_ERROR_H

#include <sqlite3.h>

// For a result other than SQLITE_OK, SQLITE_ROW and SQLITE_DONE, right after the call that gave it. `db` may be null.
int store_db_error(sqlite3 *db, int code);

#endif
