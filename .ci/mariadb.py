"""Prints how the tests come to a MariaDB or MySQL: the URL of one that answers, or "start", or "".

The value is for CERTLEDGER_TEST_MARIADB.
"""

import shutil

import pymysql


def main() -> None:
    try:
        pymysql.connect(host="127.0.0.1", port=3306, user="root", connect_timeout=2).close()
    except pymysql.Error:
        programs = map(shutil.which, ("mariadbd", "mariadb-install-db"))
        print("start" if all(programs) else "")
    else:
        print("mariadb://root@127.0.0.1:3306/")


if __name__ == "__main__":
    main()
