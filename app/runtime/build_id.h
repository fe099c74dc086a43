/*
 * build_id.h - which build this is: the linker's digest of all that it linked.
 */
#ifndef BUILD_ID_H
#define BUILD_ID_H

#define BUILD_ID_SIZE 41 /* 40 hexadecimal digits and a NUL */

/*
 * Write what lies in flash where the id belongs, which is the id unless the flash is damaged.
 * Reads flash by words, as the chip demands, and calls nothing that lies there.
 */
void build_id_text(char text[BUILD_ID_SIZE]);

#endif
